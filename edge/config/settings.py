"""Settings of the edge server: flags, then environment SENNIT_EDGE_*, then the file of `--config`, then defaults."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from runtime.settings import DaemonSettings, settings_config


class EdgeSettings(DaemonSettings):
    """Serve HTTP inside SMKEX sessions: one edge of the CDN."""

    model_config = settings_config("SENNIT_EDGE_", "sennit edge")

    state: Path = Field(default=Path("/var/lib/sennit"), description="the node's state folder")
    upstream: str = Field(default="http://127.0.0.1:8080", pattern="^https?://", description="the origin")
    app: str | None = Field(
        default=None,
        pattern=r"^[\w.]+:[\w.]+$",
        description="MODULE:APP, any ASGI application, instead of the cache",
    )
    https_port: int | None = Field(
        default=None, ge=1, le=65535, description="port of ordinary HTTPS on the VIP, with --tls-certificate"
    )
    cache: Path = Field(default=Path("/var/cache/sennit"), description="directory of stored responses")
    cache_bytes: int = Field(default=10 << 30, ge=0, description="bytes of stored responses at most")
    object_bytes: int = Field(default=1 << 30, ge=0, description="bytes of one stored response at most")
    # beside what the kernel keeps of the files: headers of all that is asked for, and bodies up to 64 KB
    memory_bytes: int = Field(
        default=128 << 20, ge=0, description="bytes of stored responses in memory at most"
    )
    # a flood of requests for what does not exist reaches the origin once in this time
    negative_seconds: int = Field(
        default=5, ge=0, description="seconds that a 404, 405, 410, 414 or 501 without a lifetime is fresh"
    )
    request_bytes: int = Field(default=64 << 20, ge=0, description="bytes of one request's body at most")
    # a handshake holds 16 KB at most: 64 MB in the worst case
    max_pending_handshakes: int = Field(default=4096, ge=1, description="handshakes in progress at most")
    # four round trips of a bad satellite path, and one lost SYN
    handshake_timeout: float = Field(default=10.0, gt=0, description="seconds for one handshake")
    # a carrier's NAT puts some hundred subscribers behind one /24; an eighth of all leaves room for seven of them
    max_handshakes_per_prefix: int = Field(
        default=512, ge=1, description="subflows in handshakes from one /24 or /56 at most"
    )
    max_sessions_per_prefix: int = Field(
        default=2_500, ge=1, description="sessions from one /24 or /56 at most"
    )
    # a quarter of it is the budget of what sessions hold both ways (edge/limits/held_bytes.py)
    max_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="bytes of one process above which new sessions are refused (default: 3/4 of the machine's)",
    )
    workers: int = Field(
        default=0, ge=0, le=64, description="worker processes; 0: serve in this one, without reload"
    )
    finish_timeout: float = Field(
        default=3600.0, ge=0, description="seconds that replaced workers may continue with their sessions"
    )
    # an idle session takes 64 KB at most: 1.3 GB in the worst case, and more only as clients are slow to take
    max_sessions: int = Field(default=20_000, ge=1, description="established sessions at most")
    require_both: bool = Field(default=False, description="serve only when both paths are confirmed")
    tofu_key: Path | None = Field(default=None, description="key of mode tofu (`sennit edge-key create`)")
    tofu_certificate: Path | None = Field(
        default=None, description="its certificate (`sennit fleet-key certify`)"
    )
    tls_certificate: Path | None = Field(default=None, description="chain of mode mtls, in PEM")
    tls_key: Path | None = Field(default=None, description="its key, in PEM")
    # OpenSSL holds 67 KB for each: 69 MB in the worst case
    max_pending_tls: int = Field(default=1024, ge=1, description="TLS handshakes in progress at most")
    fast_open_keys: Path | None = Field(
        default=None, description="file with the fleet's TCP Fast Open keys (default: the agent's, in state)"
    )
    metrics: str | None = Field(
        default=None,
        pattern=r"^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d{1,5}$",
        description="ADDRESS:PORT for Prometheus",
    )
    node_timeout: float = Field(default=60.0, gt=0, description="seconds to wait for the agent's node.json")

    @model_validator(mode="after")
    def _check_https(self) -> Self:
        if self.https_port is not None and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError("--https-port needs --tls-certificate and --tls-key")
        return self
