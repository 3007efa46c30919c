"""`/v1/tokens`, and `/v1/whoami`."""

from fastapi import APIRouter, Depends

from balancer.api.access import IdentityView, NewToken, TokenPage, TokenRequest
from balancer.control.access.tokens import service
from balancer.control.authentication.dependencies import Admin, Anyone
from balancer.control.http.paging import After, Limit, RowId
from balancer.control.http.parts import StorePart, forbid_storing
from balancer.control.http.problems import refusal_responses

router = APIRouter(prefix="/v1", tags=["tokens"])


@router.get("/tokens", responses=refusal_responses(401, 403))
async def list_tokens(store: StorePart, _: Admin, after: After = 0, limit: Limit = 1000) -> TokenPage:
    """List named tokens without their secrets, revoked ones too, a page at a time."""
    items, following = await service.list_tokens(store, after, limit)
    return TokenPage(items=items, next=following)


@router.post(
    "/tokens",
    status_code=201,
    dependencies=[Depends(forbid_storing)],
    responses=refusal_responses(401, 403, 404, 409),
)
async def create_token(store: StorePart, by: Admin, body: TokenRequest) -> NewToken:
    """Make a token; its secret is in this answer only. To replace one: make another of its name, then revoke it."""
    return await service.create_token(store, body, by)


@router.delete("/tokens/{token_id}", status_code=204, responses=refusal_responses(401, 403, 404))
async def revoke_token(store: StorePart, by: Admin, token_id: RowId) -> None:
    """Revoke a token, and with it the logins made by it."""
    await service.revoke_token(store, token_id, by)


@router.get("/whoami", responses=refusal_responses(401))
async def who_am_i(identity: Anyone) -> IdentityView:
    """Say whose token or cookie was shown, and its role."""
    return IdentityView(
        name=identity.name,
        role=identity.role,
        edge_id=identity.edge_id,
        by="cookie" if identity.by_cookie else "token",
    )
