"""TCP Fast Open on the secondary subflow: the kernel's own counters say that ClientNonce came in the SYN."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("root", "netns")

OLD, NEW = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"


def test_the_nonce_comes_in_the_syn_once_a_cookie_is_known(place: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    place.start_edge(keys)
    assert place.ask(3) == [1000] * 3
    assert place.counter("TCPFastOpenCookieReqd") == 1
    assert place.counter("TCPFastOpenPassive") == 2
    # another edge of the fleet, after a rotation: the cookie still counts
    place.stop_edge()
    keys.write_text(f"{NEW}\n{OLD}\n")
    place.start_edge(keys)
    assert place.ask(2) == [1000] * 2
    assert place.counter("TCPFastOpenPassive") == 4
    assert place.counter("TCPFastOpenPassiveAltKey") >= 1


def test_a_refusal_has_the_same_name_with_a_cookie_as_without(place: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    place.start_edge(keys)
    for _ in range(2):
        assert place.ask(1, port_base=20000) == ["OnePathOnly"]
        assert place.ask(1) == [1000]


def test_without_the_kernel_s_leave_the_handshake_is_an_ordinary_one(place: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    place.run("ip", "netns", "exec", place.server, "sysctl", "-qw", "net.ipv4.tcp_fastopen=1")
    place.start_edge(keys)
    assert place.ask(2) == [1000] * 2
    assert place.counter("TCPFastOpenPassive") == 0
