"""The client sees the routes that iproute2 sees; default routes choose the paths, v4 and v6."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from smkex.transport.routes.routes import default_routes, route_to

pytestmark = pytest.mark.needs("root", "netns")

ASK = (
    "import json, sys\n"
    "from ipaddress import ip_address\n"
    "from smkex.transport.routes.paths import PathUnusable, default_interfaces, find_egress\n"
    "def way(interface, to):\n"
    "    try: found = find_egress(interface, ip_address(to))\n"
    "    except PathUnusable as error: return str(error)\n"
    "    link = found.gateway_link_address\n"
    "    return [found.interface, found.source, found.gateway, link.hex(':') if link else None]\n"
    "print(json.dumps({'ways': [way(*one.split()) for one in sys.argv[1:]],\n"
    "  'defaults': {v: default_interfaces(v) for v in (4, 6)}}))\n"
)


def ask(place: Any, *ways: str) -> Any:
    done = place.run("ip", "netns", "exec", place.phone, sys.executable, "-c", ASK, *ways)
    return json.loads(done)


def ip(place: Any, command: str) -> None:
    place.run("ip", "-n", place.phone, *command.split())


def test_ways_are_those_that_ip_route_get_says(place: Any) -> None:
    for interface in ("cell0", "wifi0"):
        get = ("ip", "-n", place.phone, "-j", "route", "get", "203.0.113.1", "oif", interface)
        said = json.loads(place.run(*get))[0]
        (way,) = ask(place, f"{interface} 203.0.113.1")["ways"]
        assert way[:3] == [interface, said["prefsrc"], said["gateway"]]


def test_the_link_address_of_a_next_hop_is_reported_once_known(place: Any) -> None:
    assert ask(place, "cell0 203.0.113.1")["ways"][0][3] is None
    ip(place, "neighbour add 10.1.0.1 lladdr 02:00:00:00:00:07 dev cell0")
    assert ask(place, "cell0 203.0.113.1")["ways"][0][3] == "02:00:00:00:00:07"


def test_what_cannot_be_used_says_why(place: Any) -> None:
    ip(place, "link set wifi0 down")
    absent, down, v6 = ask(place, "eth7 203.0.113.1", "wifi0 203.0.113.1", "cell0 2001:db8::1")["ways"]
    assert absent == "there is no interface eth7"
    assert down.startswith("wifi0 has no route to 203.0.113.1: ")
    assert v6.startswith("cell0 has no route to 2001:db8::1: ")


def test_an_interface_that_borrows_anothers_address_is_no_way(place: Any) -> None:
    """The packets would leave by wifi0, and their answers come by cell0."""
    ip(place, "address flush dev wifi0")
    ip(place, "route add default via 10.2.0.1 dev wifi0 metric 200 onlink")
    cell, wifi = ask(place, "cell0 203.0.113.1", "wifi0 203.0.113.1")["ways"]
    assert cell[1] == "10.1.0.2"
    assert wifi == (
        "wifi0 has no address of its own to reach 203.0.113.1 from, and what answers 10.1.0.2 comes by another"
        " interface"
    )


def test_default_interfaces_come_in_the_kernels_order_and_of_both_versions(place: Any) -> None:
    assert ask(place)["defaults"] == {"4": ["cell0", "wifi0"], "6": []}
    ip(place, "route replace default via 10.2.0.1 dev wifi0 metric 50")
    ip(place, "-6 address add 2001:db8:1::2/64 dev cell0 nodad")
    ip(place, "-6 route add default via 2001:db8:1::1 dev cell0 metric 7")
    ip(place, "route add 192.0.2.0/24 via 10.1.0.1")
    ip(place, "route add unreachable default metric 900")
    ip(place, "route add default via 10.1.0.1 table 77")
    assert ask(place)["defaults"] == {"4": ["wifi0", "cell0"], "6": ["cell0"]}


def test_one_default_route_by_several_next_hops_names_each_interface(place: Any) -> None:
    for metric in (100, 200):
        ip(place, f"route del default metric {metric}")
    ip(place, "route add default nexthop via 10.1.0.1 dev cell0 nexthop via 10.2.0.1 dev wifi0")
    assert ask(place)["defaults"]["4"] == ["cell0", "wifi0"]


def test_a_route_whose_cable_is_out_is_no_way(place: Any) -> None:
    """The interface is up, and its other end is not: the kernel keeps the route, and marks it."""
    subprocess.run(["ip", "-n", place.server, "link", "set", "wifi0", "down"], check=True)
    deadline = time.monotonic() + 60
    while ask(place)["defaults"]["4"] != ["cell0"]:  # the kernel notices a little later
        assert time.monotonic() < deadline


def test_the_hosts_own_routes_can_be_asked_for_without_privilege() -> None:
    from ipaddress import ip_address

    assert route_to(ip_address("127.0.0.1"), 1).interface == 1
    assert default_routes(4) == sorted(default_routes(4), key=lambda one: one[0])
