"""One canonical form of hosts: every spelling of a host has it, and what has none is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.client.known_hosts import KnownHost, KnownHosts
from smkex.client.proxy.rules import ProxyRoute, Rules
from smkex.transport.routes.host_name import HostName, InvalidHostName

FINGERPRINT = "SHA256:" + "A" * 43


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("cdn.lab", "cdn.lab"),
        ("cdn.lab.", "cdn.lab"),
        ("CDN.lab.", "cdn.lab"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example.", "xn--bcher-kva.example"),
        ("cdn。lab", "cdn.lab"),
        ("_edge.cdn-1.lab", "_edge.cdn-1.lab"),
        ("203.0.113.1", "203.0.113.1"),
        ("203.0.113.１", "203.0.113.1"),
        ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
        ("2001:db8::0001", "2001:db8::1"),
        ("[::ffff:203.0.113.1]", "203.0.113.1"),
        ("::ffff:cb00:7101", "203.0.113.1"),
        ("a" * 63 + ".lab", "a" * 63 + ".lab"),
        (".".join(["a" * 49] * 5) + ".abc.", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_every_spelling_has_one_form(text: str, canonical: str) -> None:
    assert HostName.parse(text).text == canonical
    assert Rules((canonical,)).select_route(text) is ProxyRoute.SESSION
    assert Rules((text,)).select_route(canonical) is ProxyRoute.SESSION
    assert KnownHost(text, FINGERPRINT).host == canonical


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            "cdn.lab..",
            ".cdn.lab",
            "a b",
            "a/b",
            "a@b",
            "a%2eb",
            "a:80",
            "cdn.lab:443",
        ),
        *("[::1", "::1]", "[cdn.lab]", "[127.0.0.1]", "fe80::1%eth0", "-a.lab", "a-.lab", "a\nb", "a\0b"),
        *("\udce9.lab", "127.1", "0x7f.1", "010.0.0.1", "1.2.3.4.5", "0x7f000001", "a" * 64 + ".example"),
        *("a" * 300, "ü" * 300, "a." * 127 + "aa"),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidHostName):
        HostName.parse(text)


@given(st.text(max_size=300) | st.text("aA.-_0159xX[]:%é。", max_size=40) | st.ip_addresses().map(str))
def test_the_form_is_idempotent_and_can_be_remembered(text: str) -> None:
    try:
        host = HostName.parse(text)
    except InvalidHostName:
        with pytest.raises(InvalidHostName):
            KnownHost(text, FINGERPRINT)
        return
    assert HostName.parse(host.text) == host
    assert len(host.text) <= 253
    entry = KnownHost(text, FINGERPRINT)
    assert KnownHost.parse(str(entry)) == entry


@pytest.mark.parametrize("text", ["CDN.lab.", "cdn.lab.", "cdn。LAB"])
def test_a_remembered_host_is_found_by_every_spelling(text: str, tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.remember(KnownHost("Cdn.Lab.", FINGERPRINT))
    assert [entry.host for entry in known.entries(text)] == ["cdn.lab"]
    assert known.forget(text) == 1
