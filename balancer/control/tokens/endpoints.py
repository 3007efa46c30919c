"""`/v1/enrolment-tokens`."""

from fastapi import APIRouter

from balancer.api.schemas import EnrolmentTokenList, EnrolmentTokenRequest, NewEnrolmentToken
from balancer.control.identity import Admin
from balancer.control.plane import Plane
from balancer.control.tokens import repository, service

router = APIRouter(prefix="/v1/enrolment-tokens", tags=["enrolment tokens"])


@router.get("")
async def list_tokens(plane: Plane, _: Admin) -> EnrolmentTokenList:
    """List the tokens, without their secrets."""
    async with plane.store.read() as session:
        return EnrolmentTokenList(items=[service.view(each) for each in await repository.every(session)])


@router.post("", status_code=201)
async def create_token(plane: Plane, _: Admin, body: EnrolmentTokenRequest) -> NewEnrolmentToken:
    """Make a one-time token; its secret is in this answer only."""
    return await service.create(plane, body)
