"""`sennit path`: what it sets up is for the CDN alone, survives changes of the network, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from relay_process import SENNIT, poll_until, snapshot_host, unique_interface

pytestmark = pytest.mark.needs("root", "netns", "wireguard")

V4, V6 = "203.0.113.1", "2001:db8:5e::1"


@pytest.fixture
def configuration(place: Any) -> str:
    place.relay.start()
    return str(place.relay.add("laptop"))


def routes_to(place: Any, address: str) -> str:
    return str(place.in_("client", "ip", "route", "get", address))


def test_a_path_is_for_what_is_bound_to_it_and_leaves_the_hosts_routes_as_they_are(
    place: Any, configuration: str
) -> None:
    before = {address: routes_to(place, address) for address in (V4, V6, "198.51.100.9")}
    name = unique_interface("wp")
    place.paths.add(name, configuration)
    assert {address: routes_to(place, address) for address in before} == before
    bound = place.in_("client", "ip", "route", "get", V4, "oif", name)
    assert f"dev {name}" in bound
    assert "src 10.71.0.2" in bound
    elsewhere = subprocess.run(
        [*place.enter("client"), "ip", "route", "get", "198.51.100.9", "oif", name], capture_output=True
    )
    assert f"dev {name} table".encode() not in elsewhere.stdout
    assert place.in_("client", "cat", f"/proc/sys/net/ipv4/conf/{name}/rp_filter").strip() == "2"


def test_clients_find_the_path_by_themselves(place: Any, configuration: str) -> None:
    name = unique_interface("wp")
    find = "from smkex.transport.routes.paths import automatic_paths; import json\n"
    find += "print(json.dumps([automatic_paths((4,)), automatic_paths((6,)), automatic_paths()]))"
    command = [*place.enter("client"), sys.executable, "-c", find]

    def found() -> Any:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=place.paths.environment
        )
        return json.loads(done.stdout)

    assert found() == [["eth0"]] * 3
    place.paths.add(name, configuration)
    assert found() == [["eth0", name]] * 3
    place.paths.remove(name)
    assert found() == [["eth0"]] * 3


@pytest.mark.parametrize("underlay", ["", "eth0"])
def test_a_path_that_is_removed_leaves_nothing(place: Any, configuration: str, underlay: str) -> None:
    before = snapshot_host(place.enter("client"))
    name = unique_interface("wp")
    place.paths.add(name, configuration, *(("--interface", underlay) if underlay else ()))
    during = snapshot_host(place.enter("client"))
    assert {kind for kind in before if before[kind] != during[kind]} == {
        "links",
        "addresses",
        "rules",
        "routes",
    }
    place.paths.remove(name)
    assert snapshot_host(place.enter("client")) == before
    assert not list(place.paths.store.iterdir())
    assert not list(Path(place.paths.environment["SENNIT_PATHS"]).iterdir())


def test_the_list_says_how_each_path_leaves(place: Any, configuration: str) -> None:
    name = unique_interface("wp")
    place.paths.add(name, configuration)
    primary, second = place.paths.listed()
    assert (primary["interface"], primary["path"], primary["relay"]) == ("eth0", 0, None)
    assert primary["next_hop"] == "10.1.0.1"
    assert (second["interface"], second["path"], second["relay"]) == (name, 1, "test")
    assert second["addresses"] == ["10.71.0.2", "fd73:656e:6e69:71::2"]
    assert (second["endpoint"], second["underlay"]) == ("10.1.0.1:51820", "eth0")
    text = place.paths.run("list").stdout
    assert f"{name} " in text
    assert "inside WireGuard to relay test at 10.1.0.1:51820, which leaves by eth0" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prefixes": ["0.0.0.0/0"]}, "prefixes: 0.0.0.0/0 is everything"),
        ({"prefixes": ["203.0.113.7/24"]}, "prefixes: not a prefix in its canonical form"),
        ({"endpoints": ["relay.example:51820"]}, "endpoints: not ADDRESS:PORT"),
        ({"relay_key": "AAAA"}, "relay_key: not a key"),
        ({"mtu": 100}, "mtu: not a whole number from 1280"),
        ({"sennit_relay": 2}, "sennit_relay: not a whole number from 1 to 1"),
        ({"addresses": []}, "addresses: not one address"),
    ],
)
def test_a_wrong_configuration_changes_nothing(place: Any, change: dict[str, Any], words: str) -> None:
    right = {
        "sennit_relay": 1,
        "relay": "test",
        "peer": "laptop",
        "private_key": "OKnizLgD2iSx0zsUQm5GD2F6RdTL3qSGNZV91ROzX10=",
        "relay_key": "+fus+KyshiyK018k3ZdIg1ePN7Q09G9V12k2xeZNe38=",
        "addresses": ["10.71.0.2"],
        "relay_addresses": ["10.71.0.1"],
        "endpoints": ["10.1.0.1:51820"],
        "prefixes": ["203.0.113.0/24"],
        "resolvers": [],
        "mtu": 1400,
    }
    before = snapshot_host(place.enter("client"))
    done = place.paths.run("add", "relay0", given=json.dumps({**right, **change}))
    assert done.returncode == 1
    assert words in done.stderr
    assert "hint:" in done.stderr
    assert snapshot_host(place.enter("client")) == before


def test_what_fails_on_the_way_is_undone_and_says_what_to_do(place: Any, configuration: str) -> None:
    name = unique_interface("wp")
    place.in_("client", "ip", "route", "del", "default")
    place.in_("client", "ip", "-6", "route", "del", "default")
    place.in_("client", "ip", "address", "flush", "dev", "eth0")
    before = snapshot_host(place.enter("client"))
    done = place.paths.run("add", name, given=configuration)
    assert done.returncode == 1
    assert "connect this host to a network first" in done.stderr
    done = place.paths.run("add", "lo", given=configuration)
    assert "there is an interface lo" in done.stderr
    assert snapshot_host(place.enter("client")) == before
    assert not list(place.paths.store.iterdir())


def test_a_user_without_privilege_is_given_the_reason(place: Any, configuration: str) -> None:
    drop = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-all", "--reuid=65534", "--clear-groups"]
    command = [*place.enter("client"), *drop, SENNIT, "path", "add", "relay0"]
    done = subprocess.run(
        [*command, "--store", "/nowhere"],
        input=configuration,
        capture_output=True,
        text=True,
        env=place.paths.environment,
    )
    assert done.returncode == 1
    assert "run as root" in done.stderr


def test_the_daemon_follows_the_network_and_takes_the_path_down(place: Any, configuration: str) -> None:
    before = snapshot_host(place.enter("client"))
    name = unique_interface("wp")
    place.paths.add(name, configuration)
    command = [*place.enter("client"), SENNIT, "path", "keep", "--store", str(place.paths.store)]
    log = place.folder / "keep.log"
    with log.open("w") as output:
        daemon = subprocess.Popen(command, stderr=output, env=place.paths.environment)
    try:
        poll_until(lambda: "ready" in log.read_text(), log.read_text)
        # another network: the same interface has another address and next hop
        place.in_("relay", "ip", "address", "add", "10.9.0.1/24", "dev", "down0")
        place.in_("client", "ip", "address", "add", "10.9.0.2/24", "dev", "eth0")
        place.in_("client", "ip", "address", "del", "10.1.0.2/24", "dev", "eth0")
        place.in_("client", "ip", "route", "replace", "default", "via", "10.9.0.1", "dev", "eth0")
        poll_until(lambda: "via 10.9.0.1" in routes_to(place, "10.1.0.1"), log.read_text)
        # an interface that was removed by hand
        place.in_("client", "ip", "link", "del", name)
        poll_until(
            lambda: (
                subprocess.run(
                    [*place.enter("client"), "ip", "route", "get", V4, "oif", name], capture_output=True
                ).stdout.find(b"10.71.0.2")
                > 0
            ),
            log.read_text,
        )
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()
    after = snapshot_host(place.enter("client"))
    assert (after["rules"], after["nft"], after["links"]) == (
        before["rules"],
        before["nft"],
        before["links"],
    )
    assert name not in json.dumps(after)
    assert list(place.paths.store.iterdir()), "it is there after the next start"


def test_the_relay_is_reached_by_its_underlay_or_not_at_all(place: Any, configuration: str) -> None:
    name = unique_interface("wp")
    place.paths.add(name, configuration, "--interface", "eth0")
    place.in_("client", "ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth9p")
    place.in_("client", "ip", "address", "add", "10.77.0.2/24", "dev", "eth9")
    place.in_("client", "ip", "link", "set", "eth9", "up")
    place.in_("client", "ip", "link", "set", "eth9p", "up")
    place.in_("client", "ip", "route", "replace", "default", "via", "10.77.0.1", "dev", "eth9")
    assert "dev eth0" in routes_to(place, "10.1.0.1")
    place.in_("client", "ip", "link", "set", "eth0", "down")
    done = subprocess.run([*place.enter("client"), "ip", "route", "get", "10.1.0.1"], capture_output=True)
    assert done.returncode != 0
    assert b"dev eth9" not in done.stdout


def test_the_doctor_sees_two_paths_and_names_the_relay(place: Any, configuration: str) -> None:
    command = [*place.enter("client"), SENNIT, "doctor", "--json"]

    def examine() -> dict[str, Any]:
        done = subprocess.run(command, capture_output=True, text=True, env=place.paths.environment)
        return {each["check"]: each for each in json.loads(done.stdout)}

    assert "sennit path add" in examine()["interfaces"]["remedy"]
    name = unique_interface("wp")
    place.paths.add(name, configuration)
    found = examine()
    assert found["interfaces"]["severity"] == "ok"
    assert found[f"route by {name}"]["severity"] == "ok"
    assert "inside WireGuard to relay test at 10.1.0.1:51820" in found[f"route by {name}"]["found"]
    assert found["two paths"]["severity"] == "ok"
