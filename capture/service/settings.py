"""Settings of the service."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smkex.client.options import ConnectOptions

SOCKET_VARIABLE = "SENNIT_CAPTURE_SOCKET"
DEFAULT_SOCKET = Path("/run/sennit-capture/socket")
DEFAULT_SLICE = "sennit.slice/sennit-captured.slice"  # where systemd has sennit-captured.slice


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is captured, by which sessions, with which limits; `groups` and `excluded` are paths of control groups.

    `read_hosts` returns names, patterns or addresses anew at each reload; it raises ValueError.
    """

    read_hosts: Callable[[], list[str]]
    connect: ConnectOptions
    groups: tuple[str, ...] = (DEFAULT_SLICE,)
    excluded: tuple[str, ...] = ()
    excluded_mark: int = 0
    socket: Path = DEFAULT_SOCKET
    pins: Path = Path("/run/sennit/bpf/capture")
    service_port: int = 443
    connections: int = 4096
    user_connections: int = 256
    user_programs: int = 64
    idle: float = 3600.0
