"""Events of the kernel's path manager, whose addresses a peer chooses."""

from harness import covered, fuzz

with covered():
    from smkex.transport.mptcp.path_manager import parse_announcements
    from smkex.transport.routes.netlink import parse_attributes, parse_messages


def one(data: bytes) -> None:
    for kind, value in parse_attributes(data):
        assert 0 <= kind < 1 << 14
        assert len(value) <= len(data)
    assert sum(len(body) for _, _, body in parse_messages(data)) <= len(data)
    for announced in parse_announcements(data):
        assert announced.port < 1 << 16


if __name__ == "__main__":
    fuzz(one)
