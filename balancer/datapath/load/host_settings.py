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
    wanted = ["ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv4/ip_forward"]
    if v6:
        wanted += ["ipv6/fwmark_reflect", f"ipv6/conf/{backbone}/forwarding"]
    for name in wanted:
        if error := _set_sysctl(name, "1"):
            raise _describe_refusal(name, "1", error)
    for interface in (*outside, backbone):
        _relax_rp_filter(interface)


def _relax_rp_filter(interface: str) -> None:
    """Disable the reverse path filter; where that is not permitted (a container), loose mode (RFC 3704 2.4) suffices.

    The kernel uses the greater of `all` and the interface's value.
    """
    names = ("ipv4/conf/all/rp_filter", f"ipv4/conf/{interface}/rp_filter")
    errors = {name: error for name in names if (error := _set_sysctl(name, "0"))}
    if max(int((SETTINGS / name).read_text()) for name in names) == STRICT:
        name, error = next(iter(errors.items()))
        raise _describe_refusal(name, "0", error)


def _set_sysctl(name: str, value: str) -> OSError | None:
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
