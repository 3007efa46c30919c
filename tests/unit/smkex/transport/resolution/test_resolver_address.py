"""How resolvers are written: each form is read, written again the same, and what is ambiguous is refused."""

import base64
from ipaddress import ip_address

import pytest

from smkex.transport.resolution.resolver_address import InvalidResolver, ResolverAddress, ResolverKind

PIN = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("text", "kind", "port", "canonical"),
    [
        ("192.0.2.53", ResolverKind.PLAIN, 53, "192.0.2.53"),
        ("2001:db8::53", ResolverKind.PLAIN, 53, "2001:db8::53"),
        ("[2001:db8::53]", ResolverKind.PLAIN, 53, "2001:db8::53"),
        ("192.0.2.53:5353", ResolverKind.PLAIN, 5353, "192.0.2.53:5353"),
        ("[2001:DB8::53]:5353", ResolverKind.PLAIN, 5353, "[2001:db8::53]:5353"),
        ("tls://192.0.2.53", ResolverKind.TLS, 853, "tls://192.0.2.53:853"),
        (
            "tls://[2001:db8::53]:8853#DNS.example.",
            ResolverKind.TLS,
            8853,
            "tls://[2001:db8::53]:8853#dns.example",
        ),
        (f"tls://192.0.2.53#sha256//{PIN}", ResolverKind.TLS, 853, f"tls://192.0.2.53:853#sha256//{PIN}"),
        ("https://192.0.2.53", ResolverKind.HTTPS, 443, "https://192.0.2.53:443/dns-query"),
        ("https://192.0.2.53/q#dns.example", ResolverKind.HTTPS, 443, "https://192.0.2.53:443/q#dns.example"),
    ],
)
def test_a_resolver_is_read_and_written(text: str, kind: ResolverKind, port: int, canonical: str) -> None:
    read = ResolverAddress.parse(text)
    assert (read.kind, read.port, str(read)) == (kind, port, canonical)
    assert ResolverAddress.parse(str(read)) == read
    assert read.protected == (kind is not ResolverKind.PLAIN)


def test_the_certificate_is_for_the_name_else_for_the_address() -> None:
    assert ResolverAddress.parse("tls://192.0.2.53#dns.example").certified_name == "dns.example"
    assert ResolverAddress.parse("https://[2001:db8::53]").certified_name == "2001:db8::53"
    assert ResolverAddress.parse(f"tls://192.0.2.53#sha256//{PIN}").pin == bytes(range(32))
    assert ResolverAddress.parse("192.0.2.53") == ResolverAddress(ip_address("192.0.2.53"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dns.example",
        "tls://dns.example",
        "https://dns.example/dns-query",
        "quic://192.0.2.53",
        "192.0.2.53#dns.example",
        "192.0.2.53/24",
        "192.0.2.53:0",
        "192.0.2.53:65536",
        "tls://192.0.2.53/dns-query",
        "tls://user@192.0.2.53#dns.example",
        "https://192.0.2.53/dns-query?dns=x",
        "https://192.0.2.53/dns-query{?dns}#a b",
        "tls://192.0.2.53#sha256//AAAA",
        "tls://192.0.2.53#sha256//%%",
        "fe80::1%wifi0",
        "https://192.0.2.53/dns\n-query",
        "tls://192.0.2.53#sha256//\u00e9" + "A" * 42 + "=",
        "tls://[::1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidResolver):
        ResolverAddress.parse(text)
