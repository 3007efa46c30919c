"""Speak to the control plane: one method a request, errors as `ApiError` or `Unreachable`."""

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import BaseModel, ValidationError

from balancer.api.schemas import (
    AdminState,
    EdgePage,
    EdgeView,
    Enrolment,
    EnrolmentTokenRequest,
    EnrolRequest,
    LeaseGrant,
    LeaseRequest,
    NewEnrolmentToken,
    Problem,
    VipBody,
    VipList,
)
from balancer.model.table import ForwardingTable


class Unreachable(Exception):
    """The control plane gave no answer, or none that can be understood."""


class ApiError(Exception):
    """The control plane refused, and said why."""

    def __init__(self, status: int, problem: Problem | None, url: str) -> None:
        self.status = status
        self.slug = problem.type.removeprefix("urn:sennit:problem:") if problem else ""
        super().__init__((problem.detail or problem.title) if problem else f"status {status} from {url}")


class ControlClient:
    """Client of one control plane. `transport` is for tests and other ways to reach it."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        ca: Path | None = None,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        _refuse_clear_text(url)
        self.token = token
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            verify=_tls(ca) if url.startswith("https:") else False,
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

    async def vips(self) -> VipList:
        return VipList.model_validate(await self._json("GET", "/v1/vips"))

    async def remove_vip(self, name: str) -> None:
        await self._send("DELETE", f"/v1/vips/{name}")

    async def create_enrolment_token(self, body: EnrolmentTokenRequest) -> NewEnrolmentToken:
        return NewEnrolmentToken.model_validate(await self._json("POST", "/v1/enrolment-tokens", body))

    async def enrol(self, body: EnrolRequest) -> Enrolment:
        return Enrolment.model_validate(await self._json("POST", "/v1/edges", body))

    async def edges(self) -> list[EdgeView]:
        """List every edge, page after page."""
        found: list[EdgeView] = []
        after: int | None = 0
        while after is not None:
            page = EdgePage.model_validate(await self._json("GET", f"/v1/edges?after={after}"))
            found, after = found + page.items, page.next
        return found

    async def edge(self, edge_id: int) -> EdgeView:
        return EdgeView.model_validate(await self._json("GET", f"/v1/edges/{edge_id}"))

    async def set_admin_state(self, edge_id: int, state: AdminState) -> EdgeView:
        body = {"admin_state": state.value}
        return EdgeView.model_validate(await self._json("PATCH", f"/v1/edges/{edge_id}", body))

    async def remove_edge(self, edge_id: int) -> None:
        await self._send("DELETE", f"/v1/edges/{edge_id}")

    async def renew_lease(self, edge_id: int, body: LeaseRequest) -> LeaseGrant:
        return LeaseGrant.model_validate(await self._json("PUT", f"/v1/edges/{edge_id}/lease", body))

    async def table(self, beyond: int | None = None, wait: float = 0) -> ForwardingTable | None:
        """Get the forwarding table; None where it is still the generation `beyond` after `wait` seconds."""
        headers = {} if beyond is None else {"If-None-Match": f'"{beyond}"'}
        response = await self._send("GET", f"/v1/table?wait={wait:g}", headers=headers, extra_time=wait)
        if response.status_code == 304:
            return None
        try:
            return ForwardingTable.from_json(response.json())
        except ValueError as error:
            raise Unreachable(f"the table makes no sense: {error}") from None

    async def _json(self, method: str, path: str, body: BaseModel | Mapping[str, Any] | None = None) -> Any:
        try:
            return (await self._send(method, path, body)).json()
        except (ValueError, ValidationError) as error:
            raise Unreachable(f"an answer that makes no sense: {error}") from None

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
                headers={"Authorization": f"Bearer {self.token}", **(headers or {})},
                timeout=timeout,
            )
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._http.base_url}: {error or type(error).__name__}") from error
        if response.status_code >= 400:
            raise ApiError(response.status_code, _problem(response), str(response.url))
        return response


def _problem(response: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def _tls(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _refuse_clear_text(url: str) -> None:
    """A token in clear on a network is a token given away: ValueError."""
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
