"""Set and verify the sysctls that the forwarder needs."""

from pathlib import Path

SETTINGS = Path("/proc/sys/net")
STRICT = 1


class HostRefuses(Exception):
    """A setting cannot be changed; the text names it and the command that would."""


def prepare_host(outside: tuple[str, ...], backbone: str, *, v6: bool) -> None:
    """Let replies inherit the mark, allow route lookups of BPF, and accept asymmetric paths.

    IPv6 route lookups use the backbone as input interface: forwarding need be enabled there only.

    Raises `HostRefuses`.
    """
    for name in required_sysctls(backbone, v6=v6):
        if error := set_sysctl(name, "1"):
            raise _describe_refusal(name, "1", error)
    for interface in (*outside, backbone):
        errors = relax_rp_filter(interface)
        if rp_filter(interface) == STRICT:
            name, error = next(iter(errors.items()))
            raise _describe_refusal(name, "0", error)


def required_sysctls(backbone: str, *, v6: bool) -> list[str]:
    """Return the sysctls that must be 1."""
    required = ["ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv4/ip_forward"]
    return required + (["ipv6/fwmark_reflect", f"ipv6/conf/{backbone}/forwarding"] if v6 else [])


def rp_filter(interface: str) -> int:
    """Return the effective mode: the kernel uses the greater of `all` and the interface's value. Raises OSError."""
    return max(int(read_sysctl(name)) for name in _rp_filter_names(interface))


def relax_rp_filter(interface: str) -> dict[str, OSError]:
    """Disable the reverse path filter; return the errors. Loose mode (RFC 3704 2.4) suffices, as set in containers."""
    return {name: error for name in _rp_filter_names(interface) if (error := set_sysctl(name, "0"))}


def _rp_filter_names(interface: str) -> tuple[str, str]:
    return "ipv4/conf/all/rp_filter", f"ipv4/conf/{interface}/rp_filter"


def read_sysctl(name: str) -> str:
    """Return a value below net. Raises OSError."""
    return (SETTINGS / name).read_text().strip()


def set_sysctl(name: str, value: str) -> OSError | None:
    """Write a value that differs; return the error."""
    path = SETTINGS / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        return error
    return None


def _describe_refusal(name: str, value: str, error: OSError) -> HostRefuses:
    dotted = "net." + name.replace("/", ".")
    return HostRefuses(f"{dotted} must be {value}: sysctl -w {dotted}={value} ({error.strerror})")
