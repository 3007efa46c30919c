"""The options of `smkex.connect`, shared by the httpx transports, the proxy and the command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smkex.client.as_table import AsTable
from smkex.client.edge_cache import EdgeCache
from smkex.client.known_hosts import KnownHosts
from smkex.client.recording.event_log import EventLog
from smkex.client.recording.key_log import KeyLog
from smkex.core.session.key_steps import STEP_AGE, STEP_VOLUME
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.messages import LocatorKind, Mode
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup

HANDSHAKE_TIMEOUT = 10.0  # seconds: four round trips of a bad satellite path, and one lost SYN


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """How to connect.

    `paths` are two interface names, by default the first two with a default route or to a relay; `resolvers`
    are by interface, `ADDRESS`, `tls://ADDRESS#NAME` or `https://ADDRESS/dns-query#NAME`, by default what this host
    has; `timeout` is in seconds and bounds the whole. `allow_shared_path` permits a downgrade, which the report lists.
    `strict` ends the session when a join over a third path is answered under other keys, which the report says
    otherwise. `scheduler` is for both directions (transport tcp; with mptcp the kernel chooses).

    `mode` restricts the offer to one mode. By default tofu and opportunistic are offered, and only tofu where
    `known_hosts` has a fleet key of the host; a new fleet key is saved there after the handshake. `known_hosts` is by
    default the user's file; None uses no file. With a `cache` of an earlier connection both paths of transport tcp
    open at its edge's locator at once; if that edge refuses, the connection starts afresh at the service port.
    `locator` is how the CDN's addresses carry edge ids, and `id_port_base` the first port of those in ports, by
    default as the name's service records state; without them in the port, from 10000 on, with IPv4 and as the edge
    states with IPv6. Mode mtls (transport tcp) is TLS 1.3 on path 0, by `authorities` (PEM) or those of the system.
    `kex` are the groups of the key exchange to offer, by default X25519MLKEM768 and X25519, of which an edge takes
    the first. With a `key_log` each key is written to its file: its readers open the session's recording. An
    `event_log` records what happens to the session and its paths. With an `as_table` the report says which ASes the
    paths come from, and `strict_paths`, which refuses one ingress edge or address prefix for both, refuses one AS, too.
    A key step is made each `step_age` seconds, and after `step_volume` bytes, a minute apart at least: who knew the
    session's keys before is out.
    """

    paths: Sequence[str] | None = None
    transport: str = "tcp"
    id_port_base: int | None = None
    resolvers: Mapping[str, str] | None = None
    strict_paths: bool = False
    strict: bool = False
    allow_shared_path: bool = False
    scheduler: Scheduler = Scheduler.LOWEST_LATENCY
    mode: Mode | None = None
    kex: Sequence[NamedGroup] = DEFAULT_GROUPS
    known_hosts: KnownHosts | None = field(default_factory=KnownHosts.open_default)
    authorities: Path | None = None
    cache: EdgeCache | None = None
    locator: LocatorKind | None = None
    key_log: KeyLog | None = None
    event_log: EventLog | None = None
    as_table: AsTable | None = None
    step_age: float = STEP_AGE
    step_volume: int = STEP_VOLUME
    timeout: float = HANDSHAKE_TIMEOUT
