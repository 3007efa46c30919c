"""What the forwarder needs of the host's network settings, set and verified."""

from pathlib import Path


class HostRefuses(Exception):
    """A setting cannot be made; the text says which, and what to do."""


def prepare(interfaces: tuple[str, ...]) -> None:
    """Make replies carry the mark, allow BPF's route lookups, and accept what comes by another way than it goes."""
    wanted = {
        "ipv4/tcp_fwmark_accept": "1",
        "ipv4/fwmark_reflect": "1",
        "ipv4/ip_forward": "1",
        "ipv4/conf/all/rp_filter": "0",
    } | {f"ipv4/conf/{name}/rp_filter": "0" for name in interfaces}
    for name, value in wanted.items():
        path = Path("/proc/sys/net") / name
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except OSError as error:
            dotted = "net." + name.replace("/", ".")
            raise HostRefuses(
                f"{dotted} must be {value}: sysctl -w {dotted}={value} ({error.strerror})"
            ) from None
