"""Named tokens: only hashes are stored, and at most two of a name are valid at once."""

import secrets
from datetime import timedelta

from balancer.api.access import NewToken, Role, TokenRequest, TokenView
from balancer.control.access.tokens import repository
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller, sha256_hex
from balancer.control.http.problems import Refusal
from balancer.control.registry import edges
from balancer.control.storage.records import TokenRecord
from balancer.control.storage.store import Store

MAXIMUM_VALID = 2  # the one in use, and the one that replaces it


def token_view(record: TokenRecord) -> TokenView:
    """Show a token without its secret."""
    return TokenView(
        id=record.id,
        name=record.name,
        role=Role(record.role),
        edge_id=record.edge_id,
        created_at=record.created_at,
        created_by=record.created_by,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )


async def create_token(store: Store, body: TokenRequest, by: Caller) -> NewToken:
    """Create a token."""
    token, now = secrets.token_urlsafe(32), store.now()
    async with store.change() as session:
        if body.edge_id is not None and not await edges.find_by_id(session, body.edge_id):
            raise Refusal(404, "no-such-edge", f"there is no edge {body.edge_id}", field="edge_id")
        if len(await repository.find_valid(session, body.name, now)) >= MAXIMUM_VALID:
            detail = f"{MAXIMUM_VALID} tokens named {body.name} are valid: revoke one first"
            raise Refusal(409, "token-name-taken", detail, field="name")
        record = TokenRecord(
            name=body.name,
            role=body.role.value,
            edge_id=body.edge_id,
            token_sha256=sha256_hex(token),
            created_at=now,
            created_by=by.name,
            expires_at=now + timedelta(seconds=body.expires_seconds) if body.expires_seconds else None,
        )
        session.add(record)
        await session.flush()
        audit.record_change(
            session, now, by, "token.create", f"{body.name} (id {record.id})", body.role.value
        )
    return NewToken(**token_view(record).model_dump(), token=token)


async def revoke_token(store: Store, token_id: int, by: Caller) -> None:
    """Revoke a token, now; the same again changes nothing."""
    async with store.change() as session:
        record, now = await repository.find_by_id(session, token_id), store.now()
        if record is None:
            raise Refusal(404, "no-such-token", f"there is no token {token_id}", field="token_id")
        if record.revoked_at is None:
            record.revoked_at = now
            audit.record_change(session, now, by, "token.revoke", f"{record.name} (id {record.id})")


async def list_tokens(store: Store, after: int, limit: int) -> tuple[list[TokenView], int | None]:
    """List tokens by id, and where the next page starts."""
    async with store.read() as session:
        found = await repository.list_tokens(session, after, limit + 1)
    return [token_view(each) for each in found[:limit]], found[limit - 1].id if len(found) > limit else None
