"""Client of the control plane's REST API about services."""

from collections.abc import Mapping
from typing import Any

from balancer.api.client import ControlClient, Garbled
from balancer.api.figures import FiguresTotals, FiguresView
from balancer.api.origins import OriginsView
from balancer.api.services import (
    ActivationRequest,
    DiffView,
    RevisionPage,
    RevisionSummary,
    RevisionView,
    RolloutSteering,
    RolloutView,
    SecretBody,
    SecretList,
    SecretView,
    ServiceBody,
    ServicePage,
    ServiceRollback,
    ServiceView,
    ValidationView,
)
from node.state.shield import ShieldSites
from services.published import ServiceGeneration

Document = Mapping[str, Any]


class ServicesClient(ControlClient):
    """A client that also knows services."""

    async def services(self) -> list[ServiceView]:
        """List every service."""
        return await self._every("/v1/services", ServicePage, lambda page: (page.items, page.next))

    async def service(self, name: str) -> ServiceView:
        return ServiceView.model_validate(await self._json("GET", f"/v1/services/{name}"))

    async def figure_totals(self, seconds: int) -> FiguresTotals:
        """Get what each service did in the last seconds, the busiest first."""
        return FiguresTotals.model_validate(await self._json("GET", f"/v1/figures?seconds={seconds}"))

    async def figures(self, name: str, step: int) -> FiguresView:
        """Get what a service did, in steps of 10, 60 or 600 seconds."""
        path = f"/v1/services/{name}/figures?step={step}"
        return FiguresView.model_validate(await self._json("GET", path))

    async def origins(self, service: str | None = None) -> OriginsView:
        """Get the origins, of one service or of all, that are not healthy at an edge, then the slowest."""
        query = f"?service={service}" if service is not None else ""
        return OriginsView.model_validate(await self._json("GET", f"/v1/origins{query}"))

    async def create_service(self, body: ServiceBody) -> ServiceView:
        return ServiceView.model_validate(await self._json("POST", "/v1/services", body))

    async def delete_service(self, name: str) -> None:
        await self._send("DELETE", f"/v1/services/{name}")

    async def revisions(self, name: str, count: int) -> list[RevisionSummary]:
        """Get the newest revisions, newest first."""
        path = f"/v1/services/{name}/revisions"
        return await self._every(path, RevisionPage, lambda page: (page.items, page.next), most=count)

    async def revision(self, name: str, number: int) -> RevisionView:
        return RevisionView.model_validate(await self._json("GET", f"/v1/services/{name}/revisions/{number}"))

    async def add_revision(self, name: str, document: Document) -> RevisionView:
        """Add a draft; the newest revision if it says the same."""
        answer = await self._json("POST", f"/v1/services/{name}/revisions", document)
        return RevisionView.model_validate(answer)

    async def validate_document(self, name: str, document: Document) -> ValidationView:
        """Check a document; `ApiError` has all faults."""
        answer = await self._json("POST", f"/v1/services/{name}/validate", document)
        return ValidationView.model_validate(answer)

    async def compare_revisions(
        self, name: str, before: int | None = None, after: int | None = None
    ) -> DiffView:
        given = {"before": before, "after": after}
        query = "&".join(f"{key}={value}" for key, value in given.items() if value is not None)
        return DiffView.model_validate(await self._json("GET", f"/v1/services/{name}/diff?{query}"))

    async def activate_revision(self, name: str, body: ActivationRequest) -> ServiceView:
        return ServiceView.model_validate(await self._json("POST", f"/v1/services/{name}/activate", body))

    async def roll_back_service(self, name: str, body: ServiceRollback) -> ServiceView:
        return ServiceView.model_validate(await self._json("POST", f"/v1/services/{name}/rollback", body))

    async def rollout(self, name: str) -> RolloutView:
        return RolloutView.model_validate(await self._json("GET", f"/v1/services/{name}/rollout"))

    async def steer_rollout(self, name: str, body: RolloutSteering) -> RolloutView:
        return RolloutView.model_validate(await self._json("POST", f"/v1/services/{name}/rollout", body))

    async def secrets(self, name: str) -> SecretList:
        return SecretList.model_validate(await self._json("GET", f"/v1/services/{name}/secrets"))

    async def put_secret(self, name: str, key: str, body: SecretBody) -> SecretView:
        answer = await self._json("PUT", f"/v1/services/{name}/secrets/{key}", body)
        return SecretView.model_validate(answer)

    async def delete_secret(self, name: str, key: str) -> None:
        await self._send("DELETE", f"/v1/services/{name}/secrets/{key}")

    async def shield_sites(self) -> ShieldSites:
        """Get the edges that shield services. Raises `ValueError` for an invalid answer."""
        answer = await self._json("GET", "/v1/published-services/shield")
        return ShieldSites.from_json(answer)

    async def published_services(
        self, kept: ServiceGeneration | None = None, wait: float = 0
    ) -> ServiceGeneration | None:
        """Get what this edge serves; None if it is still the `kept` generation after `wait` seconds.

        The caller verifies the signature. Only what changed since the kept generation is sent.
        """
        query, headers = f"?wait={wait:g}", {}
        if kept is not None:
            generation = kept.generation
            query, headers = f"{query}&since={generation}", {"If-None-Match": f'"{generation}"'}
        path = f"/v1/published-services{query}"
        response = await self._send("GET", path, headers=headers, extra_time=wait)
        if response.status_code == 304:
            return None
        try:
            return ServiceGeneration.from_answer(response.json(), kept)
        except ValueError as error:
            raise Garbled(f"invalid services from the control plane: {error}") from None
