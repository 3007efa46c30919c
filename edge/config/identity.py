"""The credentials that the edge's settings name."""

from edge.config.settings import EdgeSettings
from node.state.identity import NodeIdentity
from smkex.core.wire.named_group import parse_groups
from smkex.server.identity import (
    Identity,
    load_long_term_key,
    load_name_keys,
    load_tls_context,
    require_known_groups,
)


def load_identity(settings: EdgeSettings, node: NodeIdentity) -> Identity:
    """Read the configured keys and certificates. Raises `IdentityUnusable`."""
    groups = parse_groups(settings.kex)
    require_known_groups(groups)
    long_term = load_long_term_key(settings.tofu_certificate, settings.tofu_key, node.edge_id)
    return Identity(
        node.edge_id,
        long_term,
        load_tls_context(settings.tls_certificate, settings.tls_key, groups),
        locator=node.vip.locator_kind(4),
        locator_v6=node.vip.locator_kind(6),
        groups=groups,
        name_keys=load_name_keys(settings.name_keys, long_term),
    )
