"""The agent's settings: flag over environment (SENNIT_AGENT_X) over file (`--config`) over default."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from pydantic import Field, model_validator

from balancer.api.schemas import EdgeName, Name
from runtime.settings import DaemonSettings, settings_config


class AgentSettings(DaemonSettings):
    """Run the node agent of an edge."""

    model_config = settings_config("SENNIT_AGENT_", "sennit agent")

    state: Path = Field(default=Path("/var/lib/sennit"), description="state folder of this node")
    control: str = Field(description="URL of the control plane")
    ca: Path | None = Field(default=None, description="PEM of the authority that signed the control plane")
    name: EdgeName = Field(description="name of this edge")
    site: Name = Field(default="default", description="site of this edge: edges behind one router share one")
    tunnel_v4: IPv4Address | None = Field(
        default=None, description="tunnel address: where other edges send forwarded packets"
    )
    tunnel_v6: IPv6Address | None = Field(default=None, description="the same for IPv6")
    vip: str | None = Field(default=None, description="name of the VIP, where there are several")
    enrolment_token_file: Path | None = Field(
        default=None, description="one-time token; not needed once enrolled"
    )
    edge_socket: Path | None = Field(
        default=None, description="unix socket of the edge's health (default: edge/edge.sock in state)"
    )
    bird_socket: Path | None = Field(
        default=None, description="BIRD's control socket; without it, no announcement"
    )
    bird_protocol: str = Field(
        default="vip",
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*(,[a-zA-Z_][a-zA-Z0-9_]*)*$",
        description="static protocol with the VIP's route, or two (IPv4,IPv6); PROTOCOL_shutdown has GRACEFUL_SHUTDOWN",
    )
    bird_state_file: Path | None = Field(
        default=None, description="file that BIRD's configuration includes, so that a reload never withdraws"
    )
    deadman_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="seconds without a sign of life after which the VIP is withdrawn, if this agent is killed or hangs",
    )
    withdraw: bool = Field(default=False, description="withdraw the VIP and exit: for ExecStopPost")
    forwarder: bool = Field(default=True, description="announce only when the forwarder has applied a table")
    vip_check: bool = Field(default=True, description="withdraw when the VIP is on no interface")
    outside_v4: IPv4Address | None = Field(
        default=None, description="address at which other agents ask this one from outside"
    )
    outside_v6: IPv6Address | None = Field(default=None, description="the same for IPv6")
    peer_port: int = Field(
        default=8444, ge=0, le=65_535, description="port at which agents ask each other; 0 disables it"
    )
    rehoming_seconds: float = Field(
        default=3.0, ge=0, description="minimum seconds a drain waits for sessions to leave the service port"
    )
    rehoming_limit_seconds: float = Field(
        default=30.0,
        ge=0,
        le=600,
        description="maximum seconds a drain waits for sessions to leave the service port",
    )
    shutdown_seconds: float = Field(
        default=2.0, ge=0, description="seconds a drain announces GRACEFUL_SHUTDOWN before it withdraws"
    )
    drain_seconds: float = Field(
        default=3600.0, gt=0, description="seconds after which a drain closes the remaining sessions"
    )
    metrics: str | None = Field(
        default=None,
        pattern=r"^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d{1,5}$",
        description="ADDRESS:PORT for Prometheus",
    )
    probe_seconds: float = Field(
        default=1.0, gt=0, le=60, description="seconds between checks of the edge's health"
    )

    @model_validator(mode="after")
    def _reachable(self) -> "AgentSettings":
        if self.tunnel_v4 is None and self.tunnel_v6 is None:
            raise ValueError("tunnel_v4 or tunnel_v6: an edge needs a tunnel address")
        return self
