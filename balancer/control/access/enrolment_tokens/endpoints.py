"""`/v1/enrolment-tokens`."""

from fastapi import APIRouter, Depends

from balancer.api.schemas import EnrolmentTokenPage, EnrolmentTokenRequest, NewEnrolmentToken
from balancer.control.access.enrolment_tokens import repository, service
from balancer.control.authentication.dependencies import Admin
from balancer.control.http.paging import After, Limit, RowId
from balancer.control.http.parts import StorePart, forbid_storing
from balancer.control.http.problems import refusal_responses

router = APIRouter(prefix="/v1/enrolment-tokens", tags=["enrolment tokens"])


@router.get("", responses=refusal_responses(401, 403))
async def list_enrolment_tokens(
    store: StorePart, _: Admin, after: After = 0, limit: Limit = 1000
) -> EnrolmentTokenPage:
    """List one-time tokens without their secrets, a page at a time."""
    async with store.read() as session:
        found = await repository.list_tokens(session, after, limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    return EnrolmentTokenPage(items=[service.token_view(each) for each in found[:limit]], next=following)


@router.post(
    "", status_code=201, dependencies=[Depends(forbid_storing)], responses=refusal_responses(401, 403)
)
async def create_enrolment_token(
    store: StorePart, by: Admin, body: EnrolmentTokenRequest
) -> NewEnrolmentToken:
    """Make a one-time token; its secret is in this answer only."""
    return await service.create_token(store, body, by)


@router.delete("/{token_id}", status_code=204, responses=refusal_responses(401, 403, 404, 409))
async def revoke_enrolment_token(store: StorePart, by: Admin, token_id: RowId) -> None:
    """Take back a one-time token that was not used."""
    await service.revoke_token(store, token_id, by)
