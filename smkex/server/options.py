"""The options of `smkex.start_server` and `smkex.serve`."""

from dataclasses import dataclass, field
from pathlib import Path

from smkex.core.session.key_steps import STEP_AGE, STEP_VOLUME
from smkex.core.wire.locator import ID_PORT_BASE
from smkex.core.wire.messages import Mode
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup
from smkex.server.limits.server_limits import ServerLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to serve.

    First subflows go to the service port, second ones to `id_port_base` + `server_id` at the same address; clients
    need the same `id_port_base` (`ConnectOptions`). `modes` are those accepted beside mtls, `kex` the groups of the key
    exchange, the preferred first. Mode tofu needs `tofu_certificate` and `tofu_key` (`sennit edge-key create`, `sennit
    fleet-key certify`); with `name_keys` (`sennit fleet-key name-key`) clients seal server names in it. Mode mtls needs
    `tls_certificate` and `tls_key` (PEM). `require_both` delivers nothing before both paths are confirmed. `mptcp`
    serves transport mptcp too: it needs CAP_NET_ADMIN at the start, takes over the path manager of the network
    namespace, and serves IPv4 addresses only. A client that has made no key step for `step_age` seconds, or
    `step_volume` bytes, is asked to.
    """

    server_id: int = 1
    id_port_base: int = ID_PORT_BASE
    modes: tuple[Mode, ...] = (Mode.TOFU, Mode.OPPORTUNISTIC)
    kex: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    tofu_certificate: Path | None = None
    tofu_key: Path | None = None
    name_keys: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    require_both: bool = False
    mptcp: bool = False
    step_age: float = STEP_AGE
    step_volume: int = STEP_VOLUME
    limits: ServerLimits = field(default_factory=ServerLimits)
