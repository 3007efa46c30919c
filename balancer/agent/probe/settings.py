"""The prober's settings: flag over environment (SENNIT_PROBE_X) over file (`--config`) over default."""

from pathlib import Path

from pydantic import Field

from runtime.settings import DaemonSettings, settings_config


class ProbeSettings(DaemonSettings):
    """Probe this edge and its peers from the probe namespace."""

    model_config = settings_config("SENNIT_PROBE_", "sennit probe run")

    state: Path = Field(default=Path("/var/lib/sennit"), description="state folder of this node")
    interface: str = Field(default="probe1", description="the interface in the probe namespace")
    every: float = Field(default=2.0, gt=0, le=10, description="seconds between rounds")
    timeout: float = Field(default=2.0, gt=0, le=5, description="seconds for one key exchange")
