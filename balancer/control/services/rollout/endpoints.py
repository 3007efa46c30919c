"""`/v1/services/NAME/rollout`: how far it has come, and an operator's hand on it."""

from typing import Annotated

from fastapi import APIRouter, Depends

from balancer.api.services import RolloutSteering, RolloutView
from balancer.control.authentication.dependencies import Operator, Reader
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import refusal_responses
from balancer.control.services.endpoints import ServicePath
from balancer.control.services.rollout.engine import RolloutEngine

router = APIRouter(prefix="/v1/services/{name}/rollout", tags=["services"])
EnginePart = Annotated[RolloutEngine, Depends(provide_part(RolloutEngine))]


@router.get("", responses=refusal_responses(401, 403, 404))
async def show_rollout(engine: EnginePart, _: Reader, name: ServicePath) -> RolloutView:
    """Show the last rollout of a service, and how its stage does."""
    return await engine.view_rollout(name)


@router.post("", responses=refusal_responses(401, 403, 404, 409))
async def steer_rollout(
    engine: EnginePart, by: Operator, name: ServicePath, body: RolloutSteering
) -> RolloutView:
    """Begin the next stage now, pause, resume or return a rollout. A stage that is not well is never passed."""
    await engine.steer_rollout(name, body.action, by.because(body.reason))
    return await engine.view_rollout(name)
