"""Client of the control plane's REST API: one method per request, errors as `ApiError` or `Unreachable`."""

import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from balancer.api.access import (
    AuditEntry,
    AuditPage,
    IdentityView,
    NewToken,
    TokenPage,
    TokenRequest,
    TokenView,
)
from balancer.api.fast_open_keys import FastOpenKeys, FastOpenKeyView, FastOpenRotation
from balancer.api.purges import PurgePage, PurgeProgress, PurgeRequest, PurgeView
from balancer.api.schemas import (
    EdgePage,
    EdgePatch,
    EdgeReport,
    EdgeView,
    Enrolment,
    EnrolmentTokenRequest,
    EnrolRequest,
    HealthView,
    LeaseGrant,
    LeaseRequest,
    NewEnrolmentToken,
    Problem,
    VipBody,
    VipPage,
)
from balancer.api.sites import SiteBody, SitePage, SitePatch, SiteView
from balancer.api.tables import (
    AcknowledgementView,
    FreezeRequest,
    FreezeView,
    GenerationPage,
    GenerationView,
    KeyRotationRequest,
    KeyRotationView,
    RollbackRequest,
    TableKey,
)
from balancer.api.trust import client_context, explain_refusal, find_refusal
from balancer.model.delta import merge
from balancer.model.timestamp import HEADER
from node.key_link import KeyLink, read_links
from node.state.desired_state import AdminState

# longer than the interval of heartbeats, shorter than the control plane keeps connections open
KEPT_OPEN = 60.0
Page = TypeVar("Page", bound=BaseModel)
Item = TypeVar("Item")


class Unreachable(Exception):
    """The control plane gave no answer, or an invalid one."""


class UntrustedServer(Unreachable):
    """The control plane's certificate is refused; `remedy` says what to do, or is empty."""

    def __init__(self, url: str, refusal: ssl.SSLCertVerificationError) -> None:
        self.refused = f"{url}: the control plane's certificate is refused: {refusal.verify_message}"
        self.remedy = explain_refusal(refusal)
        super().__init__(f"{self.refused}; {self.remedy}" if self.remedy else self.refused)


class Garbled(Unreachable):
    """The answer is invalid."""


class ApiError(Exception):
    """The control plane refused the request, with a reason."""

    def __init__(self, status: int, problem: Problem | None, url: str) -> None:
        self.status = status
        self.slug = problem.type.removeprefix("urn:sennit:problem:") if problem else ""
        self.errors = problem.errors if problem else []
        super().__init__((problem.detail or problem.title) if problem else f"status {status} from {url}")


@dataclass(frozen=True, slots=True)
class SignedTable:
    """A forwarding table's JSON and its signature, not verified yet."""

    table: dict[str, Any]
    signature: bytes


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """The answer to a request for the table: a newer one, or None; and the signed timestamp, not verified yet."""

    table: SignedTable | None
    timestamp: str


@dataclass(frozen=True, slots=True)
class TableKeys:
    """The key that tables are signed with, the one that follows it, and links; nothing is verified yet."""

    current: bytes
    following: bytes | None
    links: tuple[KeyLink, ...]


class ControlClient:
    """Client of one control plane. `reason` goes into its audit log; `transport` is another way to reach it."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        ca: Path | None = None,
        timeout: float = 10.0,
        reason: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        _refuse_clear_text(url)
        self.token = token
        self._reason = reason
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=timeout,
            transport=transport,
            limits=httpx.Limits(keepalive_expiry=KEPT_OPEN),
            trust_env=False,
            verify=client_context(ca) if url.startswith("https:") else False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def add_vip(self, body: VipBody) -> VipBody:
        return VipBody.model_validate(await self._json("POST", "/v1/vips", body))

    async def vips(self) -> list[VipBody]:
        """List every VIP."""
        return await self._every("/v1/vips", VipPage, lambda page: (page.items, page.next))

    async def remove_vip(self, name: str) -> None:
        await self._send("DELETE", f"/v1/vips/{name}")

    async def create_enrolment_token(self, body: EnrolmentTokenRequest) -> NewEnrolmentToken:
        return NewEnrolmentToken.model_validate(await self._json("POST", "/v1/enrolment-tokens", body))

    async def enrol(self, body: EnrolRequest) -> Enrolment:
        return Enrolment.model_validate(await self._json("POST", "/v1/edges", body))

    async def edges(self) -> list[EdgeView]:
        """List every edge."""
        return await self._every("/v1/edges", EdgePage, lambda page: (page.items, page.next))

    async def newest_generation(self) -> int:
        """Return the generation of the newest forwarding table."""
        return HealthView.model_validate(await self._json("GET", "/v1/health")).generation

    async def edge(self, edge_id: int) -> EdgeView:
        return EdgeView.model_validate(await self._json("GET", f"/v1/edges/{edge_id}"))

    async def set_admin_state(self, edge_id: int, state: AdminState) -> EdgeView:
        return await self.patch_edge(edge_id, EdgePatch(admin_state=state))

    async def patch_edge(self, edge_id: int, body: EdgePatch) -> EdgeView:
        return EdgeView.model_validate(await self._json("PATCH", f"/v1/edges/{edge_id}", body))

    async def accept_pending(self, edge_id: int, pending: EdgeReport) -> EdgeView:
        """Have what an edge reports published, if it is still this."""
        return EdgeView.model_validate(await self._json("POST", f"/v1/edges/{edge_id}/pending", pending))

    async def refuse_pending(self, edge_id: int) -> None:
        """Keep what was accepted before."""
        await self._send("DELETE", f"/v1/edges/{edge_id}/pending")

    async def remove_edge(self, edge_id: int) -> None:
        await self._send("DELETE", f"/v1/edges/{edge_id}")

    async def sites(self) -> list[SiteView]:
        """List every site."""
        return await self._every("/v1/sites", SitePage, lambda page: (page.items, page.next))

    async def add_site(self, body: SiteBody) -> SiteView:
        return SiteView.model_validate(await self._json("POST", "/v1/sites", body))

    async def patch_site(self, name: str, body: SitePatch) -> SiteView:
        return SiteView.model_validate(await self._json("PATCH", f"/v1/sites/{name}", body))

    async def remove_site(self, name: str) -> None:
        await self._send("DELETE", f"/v1/sites/{name}")

    async def tokens(self) -> list[TokenView]:
        """List every named token."""
        return await self._every("/v1/tokens", TokenPage, lambda page: (page.items, page.next))

    async def create_token(self, body: TokenRequest) -> NewToken:
        return NewToken.model_validate(await self._json("POST", "/v1/tokens", body))

    async def revoke_token(self, token_id: int) -> None:
        await self._send("DELETE", f"/v1/tokens/{token_id}")

    async def who_am_i(self) -> IdentityView:
        return IdentityView.model_validate(await self._json("GET", "/v1/whoami"))

    async def audit(self, count: int) -> list[AuditEntry]:
        """Get the newest entries of the audit log, newest first."""
        return await self._every("/v1/audit", AuditPage, lambda page: (page.items, page.next), most=count)

    async def freeze(self) -> FreezeView:
        return FreezeView.model_validate(await self._json("PUT", "/v1/freeze", FreezeRequest()))

    async def thaw(self) -> None:
        await self._send("DELETE", "/v1/freeze")

    async def frozen(self) -> FreezeView:
        return FreezeView.model_validate(await self._json("GET", "/v1/freeze"))

    async def roll_back(self, generation: int) -> FreezeView:
        body = RollbackRequest(generation=generation)
        return FreezeView.model_validate(await self._json("POST", "/v1/table/rollback", body))

    async def generations(self, count: int) -> list[GenerationView]:
        """Get the newest generations that are kept, newest first."""
        return await self._every(
            "/v1/table/generations", GenerationPage, lambda page: (page.items, page.next), most=count
        )

    async def table_key(self) -> bytes:
        """Get the public key that tables are signed with; 32 bytes."""
        return (await self.table_keys()).current

    async def table_keys(self) -> TableKeys:
        """Get the public keys that tables are signed with now, and after the rotation that is under way."""
        answer = await self._json("GET", "/v1/table/key")
        try:
            view = TableKey.model_validate(answer)
            current, *more = (
                base64.b64decode(key, validate=True) for key in (view.key, view.next) if key is not None
            )
            return TableKeys(current, more[0] if more else None, read_links(answer))
        except ValueError as error:
            raise Garbled(f"invalid key from the control plane: {error}") from None

    async def key_rotation(self) -> KeyRotationView:
        return KeyRotationView.model_validate(await self._json("GET", "/v1/table/key/rotation"))

    async def rotate_table_key(self, body: KeyRotationRequest) -> KeyRotationView:
        return KeyRotationView.model_validate(await self._json("POST", "/v1/table/key/rotation", body))

    async def acknowledgements(self) -> AcknowledgementView:
        return AcknowledgementView.model_validate(await self._json("GET", "/v1/table/acknowledgements"))

    async def purge(self, body: PurgeRequest) -> PurgeView:
        return PurgeView.model_validate(await self._json("POST", "/v1/purges", body))

    async def purges(self, after: int, wait: float = 0) -> PurgePage:
        """Get the purges after the given one, a page of them; wait for one at most `wait` seconds."""
        path = f"/v1/purges?after={after}&wait={wait:g}"
        return PurgePage.model_validate(await self._json("GET", path, extra_time=wait))

    async def purge_progress(self, purge_id: int, wait: float = 0) -> PurgeProgress:
        """Get how many edges have applied a purge, once all have or after `wait` seconds."""
        path = f"/v1/purges/{purge_id}/progress?wait={wait:g}"
        return PurgeProgress.model_validate(await self._json("GET", path, extra_time=wait))

    async def rotate_fast_open_keys(self) -> FastOpenKeyView:
        body = FastOpenRotation()
        return FastOpenKeyView.model_validate(await self._json("POST", "/v1/fast-open-keys", body))

    async def fast_open_keys(self) -> FastOpenKeys:
        return FastOpenKeys.model_validate(await self._json("GET", "/v1/fast-open-keys"))

    async def renew_lease(self, edge_id: int, body: LeaseRequest) -> LeaseGrant:
        return LeaseGrant.model_validate(await self._json("PUT", f"/v1/edges/{edge_id}/lease", body))

    async def table(self, kept: Mapping[str, Any] | None = None, wait: float = 0) -> TableAnswer:
        """Get the forwarding table; without one if it is still the `kept` one after `wait` seconds.

        The caller verifies the signature. Only what changed since the kept table is sent.
        """
        query, headers = f"?wait={wait:g}", {}
        if kept is not None:
            generation = kept["generation"]
            query, headers = f"{query}&since={generation}", {"If-None-Match": f'"{generation}"'}
        response = await self._send("GET", f"/v1/table{query}", headers=headers, extra_time=wait)
        timestamp = response.headers.get(HEADER, "")
        if response.status_code == 304:
            return TableAnswer(None, timestamp)
        try:
            value = response.json()
            signature = base64.b64decode(value.pop("signature"), validate=True)
            table = merge(kept, value) if kept is not None and "since" in value else value
            return TableAnswer(SignedTable(table, signature), timestamp)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Garbled(f"invalid table from the control plane: {error}") from None

    async def _every(
        self,
        path: str,
        kind: type[Page],
        parts: Callable[[Page], tuple[list[Item], int | str | None]],
        most: int | None = None,
    ) -> list[Item]:
        """Collect items page after page."""
        found: list[Item] = []
        after: int | str | None = None
        while True:
            limit = 1000 if most is None else min(1000, most - len(found))
            query = f"?limit={limit}" + ("" if after is None else f"&after={after}")
            items, after = parts(kind.model_validate(await self._json("GET", path + query)))
            found += items
            if after is None or (most is not None and len(found) >= most):
                return found

    async def _json(
        self,
        method: str,
        path: str,
        body: BaseModel | Mapping[str, Any] | None = None,
        *,
        extra_time: float = 0.0,
    ) -> Any:
        try:
            return (await self._send(method, path, body, extra_time=extra_time)).json()
        except (ValueError, ValidationError) as error:
            raise Garbled(f"invalid answer from the control plane: {error}") from None

    async def _send(
        self,
        method: str,
        path: str,
        body: BaseModel | Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        extra_time: float = 0.0,
    ) -> httpx.Response:
        content = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
        timeout = httpx.Timeout(self._http.timeout.connect, read=(self._http.timeout.read or 0) + extra_time)
        try:
            response = await self._http.request(
                method,
                path,
                json=content,
                headers=self._headers()
                | {name.encode(): value.encode() for name, value in (headers or {}).items()},
                timeout=timeout,
            )
        except httpx.HTTPError as error:
            if refusal := find_refusal(error):
                raise UntrustedServer(str(self._http.base_url), refusal) from error
            raise Unreachable(f"{self._http.base_url}: {error or type(error).__name__}") from error
        if response.status_code >= 400:
            raise ApiError(response.status_code, _parse_problem(response), str(response.url))
        return response

    def _headers(self) -> dict[bytes, bytes]:
        token = {b"Authorization": f"Bearer {self.token}".encode()}
        return token | ({b"Sennit-Reason": self._reason.encode()} if self._reason else {})


def _parse_problem(response: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def _refuse_clear_text(url: str) -> None:
    """Raise ValueError for a URL that would send the token unencrypted over a network."""
    parsed = httpx.URL(url)
    if parsed.scheme == "https":
        return
    try:
        local = parsed.host == "localhost" or ip_address(parsed.host).is_loopback
    except ValueError:
        local = False
    if parsed.scheme != "http" or not local:
        raise ValueError(
            f"{url}: the control plane's URL must start with https:// (http:// on loopback only)"
        )
