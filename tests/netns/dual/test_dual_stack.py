"""IPv4 and IPv6 in the client: which is taken, what happens when one does not work, and where locators lie."""

from typing import Any

import pytest

pytestmark = pytest.mark.needs("root", "netns")

V4, V6, LOCATOR = "203.0.113.1", "2001:db8:5e::", "2001:db8:5e::107"


def resolvers(place: Any, *words: str) -> None:
    for net in (1, 2):
        place.resolver(net, *words)


def test_ipv6_is_taken_where_both_work_and_the_locator_is_an_address(place: Any) -> None:
    resolvers(place, V4, V6, "--garbled")
    done = place.ask(paths=None, rehome=True, head_start=30)
    assert done["right"] == [True, True]
    report = done["report"]
    assert report["vip"] == V6
    assert [path["interface"] for path in report["paths"]] == ["cell0", "wifi0", "cell0"]
    assert report["paths"][0]["address"].startswith("[2001:db8:1::2]:")
    assert report["paths"][1]["observed"].startswith("[2001:db8:2::2]:")
    assert report["paths"][0]["state"] == "removed"
    assert place.accepted() == [f"{V6} 443", f"{LOCATOR} 443", f"{LOCATOR} 443"]


def test_an_address_needs_no_name(place: Any) -> None:
    assert place.ask(V6, resolvers={})["report"]["vip"] == V6
    assert place.ask(V4, resolvers={})["report"]["vip"] == V4


def test_the_edge_serves_ipv4_by_port_locators_and_ipv6_by_address_locators(place: Any) -> None:
    resolvers(place, V4, "2001:db8:60::")
    done = place.ask(rehome=True, head_start=30)
    assert done["right"] == [True, True]
    assert done["report"]["vip"] == "2001:db8:60::"
    assert [path["ingress_id"] for path in done["report"]["paths"]] == [0x107] * 3
    assert [path["state"] for path in done["report"]["paths"]] == ["removed", "open", "open"]
    assert place.ask(V4, rehome=True)["report"]["vip"] == V4


def test_ipv4_takes_over_a_quarter_second_later_where_ipv6_is_silent_on_the_first_path(place: Any) -> None:
    resolvers(place, V4, V6)
    place.drop(place.server, "cell0", "ip6 nexthdr tcp")
    report = place.ask()["report"]
    assert report["vip"] == V4
    assert report["setup"] >= 0.25


def test_ipv4_takes_over_where_ipv6_is_silent_on_the_second_path_alone(place: Any) -> None:
    resolvers(place, V4, V6)
    place.drop(place.server, "wifi0", "ip6 nexthdr tcp")
    report = place.ask(timeout=8)["report"]
    assert report["vip"] == V4
    assert report["setup"] >= 3.9, "half of the time is for IPv6"
    assert report["downgrades"] == []


def test_a_path_without_ipv6_means_ipv4_at_once(place: Any) -> None:
    resolvers(place, V4, V6)
    place.run("ip", "-n", place.phone, "-6", "address", "flush", "dev", "wifi0")
    report = place.ask(head_start=1000, timeout=10)["report"]
    assert report["vip"] == V4


def test_a_name_without_ipv4_is_reached_too(place: Any) -> None:
    resolvers(place, V6)
    assert place.ask()["report"]["vip"] == V6


def test_a_resolver_that_never_answers_about_ipv6_costs_a_moment_only(place: Any) -> None:
    resolvers(place, V4, V6, "--silent=AAAA")
    assert place.ask()["report"]["vip"] == V4


def test_one_resolver_that_lies_about_one_family_gets_the_other(place: Any) -> None:
    place.resolver(1, V4, V6)
    place.resolver(2, V4, "2001:db8:bad::")
    assert place.ask()["report"]["vip"] == V4


def test_one_resolver_that_lies_about_both_is_refused(place: Any) -> None:
    place.resolver(1, V4, V6)
    place.resolver(2, "198.51.100.66", "2001:db8:bad::")
    refused = place.ask()
    assert refused["error"] == "AddressDisagrees"
    assert V6 in refused["text"]
    assert "2001:db8:bad::" in refused["text"]


def test_no_resolver_at_all_says_which_path_had_none(place: Any) -> None:
    place.resolver(1, V4)
    refused = place.ask()
    assert refused["error"] in ("OSError", "ConnectionRefusedError")
    assert "10.2.0.1 over wifi0" in refused["text"]


def test_mptcp_says_that_an_edge_does_not_speak_it(place: Any) -> None:
    assert place.ask(V6, transport="mptcp")["error"] == "MptcpFellBack"
