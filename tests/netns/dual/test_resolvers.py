"""Each path's resolver is asked over its own link and no other, by the protocol that was given and no other."""

import sys
from pathlib import Path
from typing import Any

import pytest
from certificates import identity

pytestmark = pytest.mark.needs("root", "netns")

V4, V6 = "203.0.113.1", "2001:db8:5e::"
LINKS = {"cell0": "10.1.0.1", "wifi0": "10.2.0.1"}
TLS, HTTPS = "tls://10.1.0.1#dns.example", "https://10.2.0.1/dns-query#dns.example"
PLAIN = ("udp dport 53", "tcp dport 53")


def count_each(place: Any, *protocols: str) -> None:
    """Count what goes to each resolver by each link."""
    for link in LINKS:
        for address in LINKS.values():
            for protocol in protocols:
                place.count(link, f"ip daddr {address} {protocol}")


def used(place: Any) -> set[str]:
    return {name for name, packets in place.counted().items() if packets}


def test_plain_questions_leave_by_the_link_of_their_resolver(place: Any) -> None:
    for net in (1, 2):
        place.resolver(net, V4)
    count_each(place, *PLAIN)
    assert place.ask()["report"]["vip"] == V4
    assert used(place) == {f"{link} ip daddr {address} udp dport 53" for link, address in LINKS.items()}


def test_a_truncated_answer_is_asked_for_by_tcp_over_the_same_link(place: Any) -> None:
    for net in (1, 2):
        place.resolver(net, V4, "--truncate")
    count_each(place, *PLAIN)
    assert place.ask()["report"]["vip"] == V4
    wanted = {f"{link} ip daddr {address} {way}" for link, address in LINKS.items() for way in PLAIN}
    assert used(place) == wanted


@pytest.mark.needs("unbound")
def test_a_real_resolver_over_tls_and_over_https(place: Any, tmp_path: Path) -> None:
    """The name has no addresses of its own: its service record leads to them."""
    record = "_smkex.cdn.example. SVCB 1 edges.example. key65281=\\039\\016"
    place.unbound(tmp_path, record, f"edges.example. A {V4}", f"edges.example. AAAA {V6}")
    count_each(place, *PLAIN, "tcp dport 853", "tcp dport 443")
    trusted = {"SSL_CERT_FILE": str(tmp_path / "dns.pem")}
    done = place.ask(resolvers={"cell0": TLS, "wifi0": HTTPS}, environment=trusted)
    assert "error" not in done, done
    assert done["right"] == [True, True]
    assert done["report"]["vip"] in (V4, V6)
    assert used(place) == {"cell0 ip daddr 10.1.0.1 tcp dport 853", "wifi0 ip daddr 10.2.0.1 tcp dport 443"}


LOOK_UPS = """
import asyncio, sys
from smkex.transport.resolution.discovery import find_service

async def look_up():
    given = dict(zip(("cell0", "wifi0"), sys.argv[1:3]))
    found = await find_service("cdn.example", 443, ("cell0", "wifi0"), given)
    print(*found.addresses)

async def main():
    await look_up()
    await asyncio.gather(look_up(), look_up())
    print("idle", flush=True)
    sys.stdin.readline()
    await look_up()

asyncio.run(main())
"""


@pytest.mark.needs("unbound")
def test_look_ups_over_tls_and_https_share_a_connection_of_each_link(place: Any, tmp_path: Path) -> None:
    place.unbound(tmp_path, f"cdn.example. A {V4}")
    count_each(place, *PLAIN, "tcp dport {853, 443} tcp flags & (syn | ack) == syn")
    with place.start_on_phone(
        *(sys.executable, "-c", LOOK_UPS, TLS, HTTPS),
        environment={"SSL_CERT_FILE": str(tmp_path / "dns.pem")},
    ) as process:
        assert [process.stdout.readline() for _ in range(4)] == [f"{V4}\n"] * 3 + ["idle\n"]
        opened = {"cell0 ip daddr 10.1.0.1", "wifi0 ip daddr 10.2.0.1"}
        counted = {name.partition(" tcp")[0]: n for name, n in place.counted().items() if n}
        assert counted == dict.fromkeys(opened, 1)
        place.stop_unbound()
        place.unbound(tmp_path, f"cdn.example. A {V4}")  # knows nothing of the connections of before
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{V4}\n"
        counted = {name.partition(" tcp")[0]: n for name, n in place.counted().items() if n}
        assert counted == dict.fromkeys(opened, 2)


@pytest.mark.needs("unbound")
def test_a_resolver_that_is_not_authenticated_is_never_asked_in_clear(place: Any, tmp_path: Path) -> None:
    place.unbound(tmp_path, f"cdn.example. A {V4}")
    for net in (1, 2):
        place.resolver(net, V4)  # would answer
    count_each(place, *PLAIN)
    unknown = place.ask(resolvers={"cell0": TLS, "wifi0": HTTPS})
    assert unknown["error"] == "OSError"
    assert "self-signed" in unknown["text"]
    trusted = {"SSL_CERT_FILE": str(tmp_path / "dns.pem")}
    other = place.ask(resolvers={"cell0": TLS.replace("dns.", "other."), "wifi0": HTTPS}, environment=trusted)
    assert "mismatch" in other["text"].lower()
    assert used(place) == set()


def test_a_resolver_over_tls_that_is_cut_off_is_an_error(place: Any, tmp_path: Path) -> None:
    certificate, _ = identity(tmp_path, "dns", "dns.example")
    place.resolver(1, V4, f"--certificate={certificate}")
    place.resolver(2, V4)
    trusted = {"SSL_CERT_FILE": str(certificate)}
    assert place.ask(resolvers=LINKS | {"cell0": TLS}, environment=trusted)["report"]["vip"] == V4
    place.drop(place.server, "cell0", "tcp dport 853")
    count_each(place, *PLAIN)
    cut = place.ask(resolvers=LINKS | {"cell0": TLS}, environment=trusted)
    assert "tls://10.1.0.1:853#dns.example over cell0 does not answer" in cut["text"]
    assert not [name for name in used(place) if "10.1.0.1" in name]


def test_a_resolver_of_the_other_link_is_asked_over_this_link(place: Any) -> None:
    """A resolver that both networks reach sees the questions of each path come by that path."""
    place.resolver(1, V4)
    count_each(place, *PLAIN)
    assert place.ask(resolvers=dict.fromkeys(LINKS, "10.1.0.1"))["report"]["vip"] == V4
    assert used(place) == {f"{link} ip daddr 10.1.0.1 udp dport 53" for link in LINKS}


def test_a_service_record_of_one_path_alone_is_reported_and_not_used(place: Any) -> None:
    place.resolver(1, V4, "--service=1 elsewhere.example. port=8443")
    place.resolver(2, V4)
    report = place.ask()["report"]
    assert report["vip"] == V4
    assert any("service records not used" in note and "cell0" in note for note in report["notes"])


def test_both_records_that_contradict_each_other_end_the_attempt(place: Any) -> None:
    place.resolver(1, V4, "--service=1 cdn.example. port=8443")
    place.resolver(2, V4, "--service=1 cdn.example. port=443")
    assert place.ask()["error"] == "AddressDisagrees"


@pytest.mark.needs("unbound", "bcc")
def test_the_names_of_sennit_run_are_asked_for_in_the_same_way(place: Any, tmp_path: Path) -> None:
    place.unbound(tmp_path, "_smkex.cdn.example. SVCB 1 edges.example.", f"edges.example. A {V4}")
    count_each(place, *PLAIN, "tcp dport 853", "tcp dport 443")
    program = (
        "import socket; s = socket.create_connection(('cdn.example', 80)); s.sendall(b'00000010');"
        " print(s.getpeername()[0], len(s.recv(10, socket.MSG_WAITALL)))"
    )
    resolvers = ("--resolver", f"cell0={TLS}", "--resolver", f"wifi0={HTTPS}")
    paths = ("--path", "cell0", "--path", "wifi0", "--known-hosts", str(tmp_path / "known_hosts"))
    said = place.run_on_phone(
        *(
            str(Path(sys.executable).with_name("sennit")),
            "run",
            "--host",
            "cdn.example",
            *paths,
            *resolvers,
            "--",
        ),
        *(sys.executable, "-c", program),
        environment={"SSL_CERT_FILE": str(tmp_path / "dns.pem")},
    )
    assert said == f"{V4} 10\n"
    assert used(place) == {"cell0 ip daddr 10.1.0.1 tcp dport 853", "wifi0 ip daddr 10.2.0.1 tcp dport 443"}
