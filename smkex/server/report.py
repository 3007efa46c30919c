"""The path report of a session as its server sees it."""

from dataclasses import asdict, dataclass
from typing import Any

from smkex.transport.driver import NO_STEP, SessionDriver, StepReport


@dataclass(frozen=True, slots=True)
class AcceptedPath:
    """One path: the client's address as it arrived here, and the edge where it entered the CDN.

    `rtt` is in seconds; bytes are those of records and control messages since the handshake.
    """

    path: int
    client: str
    ingress_id: int
    rtt: float | None
    bytes_sent: int
    bytes_received: int
    state: str


@dataclass(frozen=True, slots=True)
class SessionReport:
    """One session. `path_confirmed`: the client has proved on path 1 that both paths gave it the same keys."""

    transport: str
    mode: str
    kex: str
    aead: str
    server_id: int
    path_confirmed: bool
    paths: tuple[AcceptedPath, ...]
    session_tag: str  # in hexadecimal, the same at the client
    steps: StepReport = NO_STEP

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """A few lines for people."""
        confirmed = "both paths confirmed" if self.path_confirmed else "second path not confirmed"
        lines = [
            f"session   {self.transport}, {self.mode}, {self.kex}, {self.aead}, server {self.server_id}, {confirmed}"
        ]
        lines.append(f"key steps {self.steps.text()}")
        for path in self.paths:
            rtt = "gone" if path.rtt is None else f"{path.rtt * 1000:.2f} ms"
            lines.append(
                f"path {path.path}    from {path.client:<22} enters at edge {path.ingress_id}   rtt {rtt:<9}"
                f" {path.bytes_received} B in, {path.bytes_sent} B out   {path.state}"
            )
        return "\n".join(lines)

    def line(self) -> str:
        """One line for a log."""
        ways = ", ".join(f"{path.client} by edge {path.ingress_id} {path.state}" for path in self.paths)
        confirmed = "" if self.path_confirmed else ", second path not confirmed"
        return f"{self.transport}, {self.mode}, {self.kex}, paths {ways}{confirmed}"


def report_session(session: SessionDriver) -> SessionReport:
    """Return the report of a session as it is now."""
    established = session.established
    transport = str(session.get_extra_info("transport"))
    paths = []
    for number, seen in sorted(session.observed.items()):
        if number in session.used_paths or transport == "mptcp":
            carried = session.statistics(number)
            paths.append(
                AcceptedPath(
                    number,
                    str(seen.client),
                    seen.ingress_id,
                    carried.rtt,
                    carried.sent,
                    carried.received,
                    session.path_state(number),
                )
            )
    return SessionReport(
        transport,
        established.mode.name.lower(),
        established.group.name.lower(),
        established.keys.aead.name.lower().replace("_", "-"),
        established.edge_id,
        bool(session.get_extra_info("path_confirmed")()),
        tuple(paths),
        established.exporter.tag.hex(),
        session.step_report,
    )
