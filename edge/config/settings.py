"""Settings of the edge server: flags, then environment SENNIT_EDGE_*, then the file of `--config`, then defaults."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from runtime.settings import DaemonSettings, settings_config
from services.origins import OriginUrl
from services.values import Prefix
from smkex.core.wire.named_group import parse_groups
from smkex.server.limits.server_limits import ServerLimits


class EdgeSettings(DaemonSettings):
    """Serve HTTP inside SMKEX sessions: one edge of the CDN."""

    model_config = settings_config("SENNIT_EDGE_", "sennit edge")

    state: Path = Field(default=Path("/var/lib/sennit"), description="state directory of the node")
    upstream: OriginUrl = Field(default="http://127.0.0.1:8080", description="URL of the origin")
    origin_allow: tuple[Prefix, ...] = Field(
        default=(),
        description="prefix that services' origins may be in, though node-local, link-local or denied (repeatable)",
    )
    origin_deny: tuple[Prefix, ...] = Field(
        default=(), description="prefix that services' origins must not be in (repeatable)"
    )
    app: str | None = Field(
        default=None,
        pattern=r"^[\w.]+:[\w.]+$",
        description="serve the ASGI application MODULE:APP instead of the cache",
    )
    https_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="also serve HTTPS at this port of the VIP; needs --tls-certificate and --tls-key",
    )
    shield_port: int = Field(
        default=8445,
        ge=1024,
        le=65535,
        description="port of the tunnel address where edges of a shielding site answer the others; one for the fleet",
    )
    cache: Path = Field(default=Path("/var/cache/sennit"), description="directory of stored responses")
    cache_bytes: int = Field(default=10 << 30, ge=0, description="maximum bytes of stored responses")
    object_bytes: int = Field(default=1 << 30, ge=0, description="maximum bytes of one stored response")
    # beside what the kernel keeps of the files: headers of all that is asked for, and bodies up to 64 KB
    memory_bytes: int = Field(
        default=128 << 20, ge=0, description="maximum bytes of stored responses in memory"
    )
    # a flood of requests for what does not exist reaches the origin once in this time
    negative_seconds: int = Field(
        default=5,
        ge=0,
        description="freshness lifetime in seconds of a 404, 405, 410, 414 or 501 without its own",
    )
    request_bytes: int = Field(default=64 << 20, ge=0, description="maximum bytes of a request's body")
    # a handshake holds 16 KB at most: 64 MB in the worst case
    max_pending_handshakes: int = Field(default=4096, ge=1, description="maximum handshakes in progress")
    # four round trips of a bad satellite path, and one lost SYN
    handshake_timeout: float = Field(default=10.0, gt=0, description="maximum seconds of a handshake")
    # a carrier's NAT puts some hundred subscribers behind one /24; an eighth of all leaves room for seven of them
    max_handshakes_per_prefix: int = Field(
        default=512, ge=1, description="maximum subflows in handshakes from one /24 or /56"
    )
    max_sessions_per_prefix: int = Field(
        default=2_500, ge=1, description="maximum sessions from one /24 or /56"
    )
    # a quarter of it is the budget of what sessions hold both ways (smkex/server/limits/held_bytes.py)
    max_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="memory limit of one process in bytes, above which new sessions are refused (default: 3/4)",
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=64,
        description="number of worker processes; 0 serves in the main process, without reload",
    )
    finish_timeout: float = Field(
        default=3600.0, ge=0, description="maximum seconds that replaced workers continue with their sessions"
    )
    # an idle session takes 64 KB at most: 1.3 GB in the worst case, and more only as clients are slow to take
    max_sessions: int = Field(default=20_000, ge=1, description="maximum established sessions")
    require_both: bool = Field(
        default=False, description="refuse sessions whose second path is not confirmed"
    )
    kex: str = Field(
        default="x25519mlkem768,x25519",
        description="key exchanges to accept, the preferred first: x25519mlkem768 (post-quantum hybrid), x25519",
    )
    tofu_key: Path | None = Field(
        default=None, description="private key for mode tofu (`sennit edge-key create`)"
    )
    tofu_certificate: Path | None = Field(
        default=None, description="certificate of --tofu-key (`sennit fleet-key certify`)"
    )
    name_keys: Path | None = Field(
        default=None,
        description="file with the fleet's keys for sealed server names (`sennit fleet-key name-key`)",
    )
    tls_certificate: Path | None = Field(
        default=None, description="certificate chain for mode mtls and HTTPS (PEM)"
    )
    tls_key: Path | None = Field(default=None, description="private key of --tls-certificate (PEM)")
    # OpenSSL holds 67 KB for each: 69 MB in the worst case
    max_pending_tls: int = Field(default=1024, ge=1, description="maximum TLS handshakes in progress")
    fast_open_keys: Path | None = Field(
        default=None,
        description="file with the fleet's TCP Fast Open keys (default: agent-edge/fast-open.keys in --state)",
    )
    access_log: str | None = Field(
        default=None,
        pattern="^(journald|file:/.+|unix:/.+)$",
        description="log requests to journald, file:PATH, or unix:PATH (datagrams)",
    )
    access_log_format: Literal["json", "combined"] = Field(
        default="json", description="format of --access-log: json or combined"
    )
    access_log_sample: float = Field(
        default=1.0, gt=0, le=1, description="share of the requests that are logged"
    )
    traces: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+/.*$",
        description="export spans by OTLP/HTTP to this URL, such as http://127.0.0.1:4318/v1/traces",
    )
    traces_sample: float = Field(
        default=1.0, gt=0, le=1, description="share of the traces that begin here whose spans are exported"
    )
    metrics: str | None = Field(
        default=None,
        pattern=r"^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d{1,5}$",
        description="serve Prometheus metrics at ADDRESS:PORT",
    )
    node_timeout: float = Field(
        default=60.0, gt=0, description="maximum seconds to wait for the agent's node.json"
    )

    @property
    def server_limits(self) -> ServerLimits:
        """The limits of one process."""
        return ServerLimits(
            pending_handshakes=self.max_pending_handshakes,
            pending_tls=self.max_pending_tls,
            handshakes_per_prefix=self.max_handshakes_per_prefix,
            handshake_timeout=self.handshake_timeout,
            sessions=self.max_sessions,
            sessions_per_prefix=self.max_sessions_per_prefix,
            memory_bytes=self.max_memory_bytes,
            processes=self.workers,
        )

    @field_validator("kex")
    @classmethod
    def _check_kex(cls, text: str) -> str:
        parse_groups(text)
        return text

    @field_validator("traces")
    @classmethod
    def _check_traces(cls, url: str | None) -> str | None:
        if url is not None and find_spec("opentelemetry.exporter.otlp.proto.http") is None:
            raise ValueError("--traces needs the packages of the extra sennit[tracing]")
        return url

    @model_validator(mode="after")
    def _check_https(self) -> Self:
        if self.https_port is not None and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError("--https-port needs --tls-certificate and --tls-key")
        return self
