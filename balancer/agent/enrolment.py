"""Enrol this node, once; later starts only tell the control plane where it is now.

The credential is made and kept before the first request: should the answer be lost, the same request again gives
the same edge, and the one-time token is not wasted.
"""

import base64
import hashlib
import logging
import secrets
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.agent.settings import AgentSettings
from balancer.agent.state import NodeState
from balancer.api.client import ControlClient
from balancer.api.schemas import Enrolment, EnrolRequest
from node.state.credential import Credential
from node.state.identity import NodeIdentity
from node.vip import vip_from_json

log = logging.getLogger(__name__)


class NotEnrolled(Exception):
    """This node cannot enrol, and trying again will not help."""


def own_credential(settings: AgentSettings, state: NodeState) -> Credential:
    """Read this node's credential, or make one."""
    try:
        credential = state.credential()
    except ValueError as error:
        raise NotEnrolled(f"{error}: mend it, or remove the file to enrol as another edge") from None
    if credential is None:
        credential = Credential(secrets.token_urlsafe(32))
        state.keep_credential(credential)
    if credential.edge_id is None and settings.enrolment_token_file is None:
        raise NotEnrolled("this node has not enrolled: give --enrolment-token-file")
    return credential


def own_key(state: NodeState) -> Ed25519PrivateKey:
    """Read the key by which other agents know this one, or make it."""
    try:
        return state.peer_key()
    except ValueError as error:
        raise NotEnrolled(f"{error}: remove the file; an operator then accepts the new key") from None


async def enrol(
    settings: AgentSettings,
    state: NodeState,
    client: ControlClient,
    credential: Credential,
    key: Ed25519PrivateKey,
    instance: str,
) -> tuple[Credential, Enrolment]:
    """Enrol, and keep what comes of it in the state folder; raises what the client raises."""
    client.token = credential.token if credential.edge_id is not None else _one_time_token(settings)
    enrolment = await client.enrol(
        EnrolRequest(
            name=settings.name,
            site=settings.site,
            tunnel_v4=settings.tunnel_v4,
            tunnel_v6=settings.tunnel_v6,
            outside=settings.outside_v4 or settings.outside_v6,
            peer_key=base64.b64encode(key.public_key().public_bytes_raw()).decode(),
            vip=settings.vip,
            instance=instance,
            credential_sha256=hashlib.sha256(credential.token.encode()).hexdigest(),
        )
    )
    try:
        state.keep_table_key(base64.b64decode(enrolment.table_key))
    except ValueError as error:
        log.error(
            "table key not accepted", extra={"why": str(error)}
        )  # tables of another signer are refused one by one
    credential = replace(credential, edge_id=enrolment.edge.id)
    state.keep_node(
        NodeIdentity(
            enrolment.edge.id, enrolment.edge.name, vip_from_json(enrolment.vip.model_dump(mode="json"))
        )
    )
    state.keep_credential(credential)
    client.token = credential.token
    if enrolment.edge.pending is not None:
        log.warning(
            "what this edge reports of itself is not accepted yet, the accepted values stay published",
            extra={"pending": enrolment.edge.pending.model_dump(mode="json")},
        )
    log.info("enrolled", extra={"edge_id": enrolment.edge.id, "edge": enrolment.edge.name})
    return credential, enrolment


def _one_time_token(settings: AgentSettings) -> str:
    assert settings.enrolment_token_file is not None  # own_credential saw to it
    try:
        return settings.enrolment_token_file.read_text().strip()
    except OSError as error:
        raise NotEnrolled(f"the enrolment token cannot be read: {error}") from None
