"""Find the caller by the hash of the presented token: the admin, an edge, or a named token."""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.access import Role
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.guesses import GuessLimiter
from balancer.control.authentication.lookup import find_token
from balancer.control.http.problems import Refusal
from balancer.control.registry import edges
from balancer.control.registry.directory import EdgeDirectory
from balancer.control.storage.store import Store


class Authenticator:
    """Knows the admin's token, and looks up all others."""

    def __init__(self, store: Store, directory: EdgeDirectory, admin_sha256: str) -> None:
        self.store = store
        self._directory = directory
        self._admin_sha256 = admin_sha256
        self._guesses = GuessLimiter()

    @contextmanager
    def limit_guesses(self, host: str, presented: str) -> Iterator[None]:
        """Charge the source for a token that turns out to be unknown; Refusal 429 where it showed too many.

        The admin and known edges are never refused, also where others guess from their address.
        """
        if self.find_in_memory(presented):
            yield
            return
        self._guesses.check_source(host)
        try:
            yield
        except Refusal as refusal:
            if refusal.status == 401:
                self._guesses.record_guess(host)
            raise

    def find_in_memory(self, presented: str) -> Caller | None:
        """Return the admin or a known edge without a query."""
        if hmac.compare_digest(presented, self._admin_sha256):
            return Caller(Role.ADMIN, "admin")
        edge = self._directory.of_credential(presented)
        return Caller(Role.EDGE, edge.name, edge.id) if edge else None

    async def find_holder(self, session: AsyncSession, presented: str) -> Caller:
        """Return the holder of a token; Refusal 410 for a removed edge, 401 for an unknown token."""
        if known := self.find_in_memory(presented):
            return known
        edge = await edges.find_by_credential(session, presented)
        if edge and hmac.compare_digest(presented, edge.credential_sha256):
            return Caller(Role.EDGE, edge.name, edge.id)
        token = await find_token(session, presented)
        if token and token.usable(self.store.now()) and hmac.compare_digest(presented, token.token_sha256):
            return Caller(Role(token.role), token.name, token.edge_id)
        if await edges.was_removed(session, presented):
            raise Refusal(410, "edge-removed", "this edge was removed", field="authorization")
        raise Refusal(401, "token-refused", "this token is unknown", field="authorization")
