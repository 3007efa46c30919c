"""Sessions of a host with one interface through a relay, over IPv4 and IPv6, with names over TLS and HTTPS."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import identity
from relay_process import unique_interface

pytestmark = pytest.mark.needs("root", "netns", "wireguard")

V4, V6 = "203.0.113.1", "2001:db8:5e::1"
RESOLVER = "198.51.100.53"
TLS, HTTPS = f"tls://{RESOLVER}#dns.example", f"https://{RESOLVER}/dns-query#dns.example"
ENDS = Path(__file__).with_name("session_ends.py")
SIZE = 3_000_000
BLOCK = bytes(range(256)) * 256


@pytest.fixture
def served(place: Any) -> Iterator[Any]:
    """The world serves sessions in both families; the client reaches it by `cell0`, the relay by eth0."""
    place.link("world", "down0", "client", "cell0", 3)
    for version, gateway in (("-4", "10.3.0.2"), ("-6", "2001:db8:3::2")):
        place.in_(
            "client", "ip", version, "route", "add", "default", "via", gateway, "dev", "cell0", "metric", "50"
        )
    place.path = unique_interface("ws")
    with subprocess.Popen(
        [*place.enter("world"), sys.executable, str(ENDS), "serve", V4, V6], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield place
        finally:
            server.kill()


def connect_through(place: Any, *options: str) -> None:
    place.relay.options = (*place.relay.options, *options)
    place.relay.start()
    place.paths.add(place.path, place.relay.add("laptop"), "--interface", "eth0")


def fetch(place: Any, host: str, *resolver: str, **environment: str) -> Any:
    command = [sys.executable, str(ENDS), "fetch", host, str(SIZE), "cell0", place.path, *resolver]
    done = subprocess.run(
        [*place.enter("client"), *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**place.paths.environment, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def digest() -> str:
    return hashlib.sha256((BLOCK * (SIZE // len(BLOCK) + 1))[:SIZE]).hexdigest()


@pytest.mark.parametrize(("address", "inside"), [(V4, "10.71.0.2"), (V6, "fd73:656e:6e69:71::2")])
def test_a_session_has_its_second_path_through_the_relay(served: Any, address: str, inside: str) -> None:
    connect_through(served)
    got = fetch(served, address)
    assert (got["size"], got["digest"], got["vip"]) == (SIZE, digest(), address)
    first, second = got["paths"]
    assert first[0] == "cell0"
    assert second[0] == served.path
    assert inside in second[1]
    assert second[2] == "10.1.0.1:51820"


@pytest.fixture
def unbound(served: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A real resolver in the world, over TLS and HTTPS; what trusts its certificate."""
    identity(tmp_path, "dns", "dns.example")
    lines = [
        *("server:", "username: ''", "chroot: ''", "pidfile: ''", "use-syslog: no", "do-daemonize: no"),
        *(f"interface: {RESOLVER}@853", f"interface: {RESOLVER}@443", "https-port: 443"),
        *("access-control: 0.0.0.0/0 allow", "local-zone: example. static"),
        *(f"tls-service-key: {tmp_path / 'dns.key'}", f"tls-service-pem: {tmp_path / 'dns.pem'}"),
        *(f"local-data: 'cdn.example. {kind} {value}'" for kind, value in (("A", V4), ("AAAA", V6))),
        *("remote-control:", "control-enable: no"),
    ]
    (tmp_path / "unbound.conf").write_text("\n".join(lines) + "\n")
    log = (tmp_path / "unbound.log").open("w")
    command = [*served.enter("world"), "unbound", "-d", "-c", str(tmp_path / "unbound.conf")]
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 20
            while served.in_("world", "ss", "-Htln", "src", RESOLVER).count("LISTEN") < 2:
                assert time.monotonic() < deadline, (tmp_path / "unbound.log").read_text()
                time.sleep(0.05)
            yield {"SSL_CERT_FILE": str(tmp_path / "dns.pem")}
        finally:
            process.kill()


@pytest.mark.needs("unbound")
@pytest.mark.parametrize(("resolver", "port"), [(TLS, 853), (HTTPS, 443)])
def test_names_are_resolved_over_tls_and_https_through_the_relay(
    served: Any, unbound: dict[str, str], resolver: str, port: int
) -> None:
    """The client takes the relay's resolver by itself; a plain one that the relay also has is not asked."""
    connect_through(served, "--resolver", resolver)
    rules = "add table inet c; add chain inet c o { type filter hook output priority 0; }; "
    for each in (f"tcp dport {port}", "udp dport 53", "tcp dport 53"):
        rules += (
            f'add rule inet c o oifname {served.path} ip daddr {RESOLVER} {each} counter comment "{each}"; '
        )
    served.in_("client", "nft", rules)
    got = fetch(served, "cdn.example", TLS, **unbound)
    assert (got["size"], got["digest"]) == (SIZE, digest())
    assert got["vip"] in (V4, V6)
    listed = json.loads(served.in_("client", "nft", "-j", "list", "table", "inet", "c"))["nftables"]
    counted = {
        one["rule"]["comment"]: next(
            part["counter"]["packets"] for part in one["rule"]["expr"] if "counter" in part
        )
        for one in listed
        if "rule" in one
    }
    assert [name for name, packets in counted.items() if packets] == [f"tcp dport {port}"]


@pytest.mark.needs("unbound")
def test_a_relays_resolver_that_is_not_authenticated_is_an_error(
    served: Any, unbound: dict[str, str]
) -> None:
    connect_through(served, "--resolver", TLS.replace("dns.example", "other.example"))
    command = [sys.executable, str(ENDS), "fetch", "cdn.example", "1", "cell0", served.path, TLS]
    done = subprocess.run(
        [*served.enter("client"), *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**served.paths.environment, **unbound},
    )
    assert done.returncode != 0
    assert "mismatch" in done.stderr.lower()
