"""Replace the signing key while no control plane runs: where its file is lost, none starts.

The same change as `sennit table-key replace` in a running one, on the state folder and the database themselves.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from balancer.api.access import Role
from balancer.api.tables import KeyRotationAction
from balancer.control.app import open_plane
from balancer.control.authentication.caller import Caller
from balancer.control.clock import SystemClock
from balancer.control.http.problems import Refusal
from balancer.control.plane import ControlPlane
from balancer.control.rules import ControlRules
from balancer.control.services.sealing import SecretUnreadable
from balancer.control.storage.database import DATABASE
from balancer.control.storage.records import ServiceSecretRecord
from balancer.control.unusable_state import StateUnusable, explain_failure

BY = Caller(Role.ADMIN, "table-key replace --state")


@dataclass(frozen=True, slots=True)
class OfflineReplacement:
    """The new public key, and the secrets (SERVICE/NAME) that can no longer be decrypted."""

    key: bytes
    lost_secrets: tuple[str, ...]


async def replace_key_offline(state: Path, database: str | None, why: str) -> OfflineReplacement:
    """Put a new key in use; raises `StateUnusable`, or ValueError for a `database` that is neither."""
    _check_folder(state, database)
    rules, token = ControlRules(), secrets.token_hex()  # neither is used: nothing is served
    try:
        async with open_plane(state, token, rules, SystemClock(), database, replaces_key=True) as plane:
            await plane.key_rotation.act(KeyRotationAction.REPLACE, BY.because(why), force=True)
            return OfflineReplacement(plane.keys.public.current, await _find_lost_secrets(plane))
    except Refusal as refusal:
        raise StateUnusable(refusal.detail) from None
    except Exception as error:
        if failure := explain_failure(error):
            raise failure from None
        raise


def _check_folder(state: Path, database: str | None) -> None:
    if not state.is_dir() or (database is None and not (state / DATABASE).exists()):
        raise StateUnusable(f"{state} has no {DATABASE}", "give the control plane's state folder")
    if (owner := state.stat().st_uid) != os.geteuid():
        raise StateUnusable(
            f"{state} belongs to user id {owner}, and this is user id {os.geteuid()}",
            "run it as the control plane's user, which must be able to read the key",
        )


async def _find_lost_secrets(plane: ControlPlane) -> tuple[str, ...]:
    lost = []
    async with plane.store.read() as session:
        for record in await session.scalars(select(ServiceSecretRecord)):
            try:
                plane.seal.open_value(record.service, record.key, record.sealed)
            except SecretUnreadable:
                lost.append(f"{record.service}/{record.key}")
    return tuple(sorted(lost))
