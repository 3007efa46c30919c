"""The control plane's settings: flag over environment (SENNIT_CONTROL_X) over file (`--config`) over default."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from balancer.control.storage.database import database_url
from balancer.model.table import Encapsulation
from runtime.settings import DaemonSettings, settings_config

PRIVATE_PREFIXES = (
    "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"  # RFC 1918, RFC 6598, RFC 4193
)
DISTINCT_CHARACTERS = 8  # of the admin's token; 24 random bytes in base64 have about 25


class ControlSettings(DaemonSettings):
    """Run the control plane."""

    model_config = settings_config("SENNIT_CONTROL_", "sennit control")

    state: Path = Field(default=Path("/var/lib/sennit"), description="state folder, which holds the database")
    database: str | None = Field(
        default=None,
        description="postgresql://USER@HOST/NAME, which several instances may share (default: SQLite in state)",
    )
    listen: str = Field(default="127.0.0.1:8443", description="ADDRESS:PORT, several separated by commas")
    admin_token_file: Path = Field(
        description="file with the admin's token, which you create: there is no default"
    )
    tls_certificate: Path | None = Field(default=None, description="PEM chain")
    tls_key: Path | None = Field(default=None, description="PEM key")
    lease_seconds: float = Field(
        default=10.0, ge=0.5, le=600, description="seconds of a lease; it expires without a heartbeat"
    )
    minimum_healthy: float = Field(
        default=2 / 3,
        ge=0,
        le=1,
        description="share of the active edges that must stay announced in spite of soft failures",
    )
    quarantine_seconds: float = Field(
        default=86_400, ge=0, description="seconds before a freed id is assigned again"
    )
    encapsulation: Encapsulation = Field(
        default=Encapsulation.IPIP, description="format of tunnels to edges that enrol from now on"
    )

    tunnel_prefixes: str = Field(
        default=PRIVATE_PREFIXES,
        description="prefixes of the backbone, separated by commas: edges may have tunnel addresses in these alone "
        "(default: private and shared address space)",
    )

    audit_days: int = Field(default=400, ge=1, le=36_500, description="days that the audit log is kept")

    @field_validator("listen")
    @classmethod
    def _address_and_port(cls, value: str) -> str:
        for each in value.split(","):
            host, _, port = each.rpartition(":")
            ip_address(host.strip("[]"))
            if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
                raise ValueError("must end with :PORT")
        return value

    @field_validator("tunnel_prefixes")
    @classmethod
    def _known_prefixes(cls, value: str) -> str:
        if not _parse_prefixes(value):
            raise ValueError("must name a prefix")
        return value

    @field_validator("database")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        database_url(Path(), value)
        return value

    @property
    def tunnel_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return _parse_prefixes(self.tunnel_prefixes)

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """Address and port of each of `listen`."""
        parts = (each.rpartition(":") for each in self.listen.split(","))
        return [(host.strip("[]"), int(port)) for host, _, port in parts]

    @model_validator(mode="after")
    def _never_in_clear(self) -> "ControlSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        loopback = all(ip_address(host).is_loopback for host, _ in self.endpoints)
        if self.tls_certificate is None and not loopback:
            raise ValueError("tokens must not cross a network in clear: give tls_certificate and tls_key")
        return self

    def admin_token(self) -> str:
        """Read the admin's token; ValueError where it is missing or easily guessed."""
        try:
            token = self.admin_token_file.read_text().strip()
        except OSError as error:
            raise ValueError(f"admin_token_file: {error}") from None
        if len(token) < 16 or len(token.split()) != 1:
            raise ValueError("admin_token_file: must hold one word of at least 16 characters")
        if len(set(token)) < DISTINCT_CHARACTERS:
            raise ValueError(
                f"admin_token_file: must have at least {DISTINCT_CHARACTERS} different characters: "
                "`head -c 24 /dev/urandom | base64` makes one"
            )
        return token


def _parse_prefixes(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse prefixes separated by commas; ValueError that names the wrong one."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
