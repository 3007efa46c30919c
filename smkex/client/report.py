"""The path report: which paths a connection's key exchange took, with the evidence."""

from dataclasses import asdict, dataclass
from typing import Any

from smkex.client.shared_resources import SharedResource
from smkex.transport.driver import NO_STEP, StepReport


@dataclass(frozen=True, slots=True)
class PathReport:
    """One path. `observed` is the client's address as the edge saw it, authenticated by the key exchange.

    `ingress_id` is the edge where the path enters the CDN; `rtt` is in seconds; bytes are those of records and
    control messages since the handshake. `leaves_by` and `next_hop` are how it leaves the host: of a path through
    `relay` (its endpoint) those of the relay's packets. `origins` are the ASes of `observed`, where a table was given.
    """

    path: int
    interface: str
    address: str
    observed: str
    ingress_id: int
    rtt: float | None
    bytes_sent: int
    bytes_received: int
    state: str
    leaves_by: str = ""
    next_hop: str | None = None
    relay: str | None = None
    origins: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """One connection: owner, mode, group of the key exchange, transport, its paths, and any downgrades."""

    vip: str
    transport: str
    mode: str
    kex: str
    aead: str
    owner_id: int
    setup: float
    paths: tuple[PathReport, ...]
    downgrades: tuple[str, ...]
    notes: tuple[str, ...]
    session_tag: str  # in hexadecimal, the same at the edge
    fleet_key: str | None = None  # fingerprint, in mode tofu
    name: str = (
        "none"  # how the server name travelled: "sealed", "clear", "none" where an address was dialled
    )
    steps: StepReport = NO_STEP
    shared: tuple[SharedResource, ...] = ()  # by paths that are in use

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """One line for a log: the owner, and each path's ingress edge."""
        ways = ", ".join(f"{path.interface} by edge {path.ingress_id}" for path in self.paths)
        downgrades = f", downgrades: {', '.join(self.downgrades)}" if self.downgrades else ""
        return (
            f"edge {self.owner_id}, {self.transport}, {self.mode}, {self.kex}, paths {ways}{downgrades},"
            f" {self.setup * 1000:.1f} ms"
        )

    def traffic(self) -> str:
        """One line for a log: bytes per path, and how it ended."""
        return ", ".join(
            f"{path.interface} {_format_bytes(path.bytes_received)} in {_format_bytes(path.bytes_sent)} out"
            + (f" ({path.state})" if path.state.startswith(("dropped", "stalled")) else "")
            for path in self.paths
        )

    def text(self) -> str:
        """A few lines for people."""
        lines = [
            f"session   {self.transport} to {self.vip}, {self.mode}, {self.kex}, {self.aead},"
            f" owner edge {self.owner_id}, set up in {self.setup * 1000:.1f} ms, name {self.name}"
        ]
        if self.fleet_key is not None:
            lines.append(f"fleet     {self.fleet_key}")
        lines.append(f"key steps {self.steps.text()}")
        for path in self.paths:
            rtt = "gone" if path.rtt is None else f"{path.rtt * 1000:.2f} ms"
            lines.append(
                f"path {path.path}    {path.interface:<8} {path.address:<22} seen as {path.observed:<22}"
                f" enters at edge {path.ingress_id}   rtt {rtt:<9}"
                f" {_format_bytes(path.bytes_received)} in, {_format_bytes(path.bytes_sent)} out   {path.state}"
                + _format_way(path)
            )
        lines.append(f"downgrades {', '.join(self.downgrades) or 'none'}")
        lines += [f"shared    {' and '.join(map(str, each.paths))}: {each.text}" for each in self.shared] or [
            "shared    nothing that this host or the edges see"
        ]
        lines += [f"note      {note}" for note in self.notes]
        return "\n".join(lines)


def _format_way(path: PathReport) -> str:
    relay = f"   through relay {path.relay}" if path.relay is not None else ""
    origins = f"   {', '.join(f'AS{origin}' for origin in path.origins)}" if path.origins else ""
    return relay + origins


def _format_bytes(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    for unit in ("kB", "MB", "GB"):
        count_in_unit = count / 1000 ** ("kB", "MB", "GB").index(unit) / 1000
        if count_in_unit < 1000 or unit == "GB":
            break
    return f"{count_in_unit:.1f} {unit}"
