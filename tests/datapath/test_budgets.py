"""Budgets: what an owner, a source and answers get; flows that were answered go first."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest
from loaded_programs import Programs
from packets import ACK, CLIENT, CLIENT6, RST, SYN, VIP, VIP6, icmp_error, tcp, tunnelled

from balancer.datapath.maps.layout import NO_LIMITS, Budgets
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "bcc")

SLOW = 1  # a second
FEW = range(1, 6)  # of many that may pass: one, and one for each second that the machine takes for the test


@pytest.fixture
def limited(programs: Programs) -> Iterator[Callable[..., None]]:
    """Set some budgets for one test."""
    yield lambda **budgets: programs.allow(Budgets(**{**as_dict(NO_LIMITS), **budgets}))
    programs.allow(NO_LIMITS)


def as_dict(budgets: Budgets) -> dict[str, int]:
    return {name: getattr(budgets, name) for name in budgets.__dataclass_fields__}


def outcomes(programs: Programs, packets: Iterable[bytes]) -> Counter[Reason]:
    return Counter(programs.run("outside_ingress", packet).reason for packet in packets)


def test_answers_of_all_kinds_share_one_budget(programs: Programs, limited: Callable[..., None]) -> None:
    limited(answers=SLOW)
    unknown = [tcp(port=10777, flags=SYN, source_port=n) for n in range(10)]
    large = [tcp(port=10002, data=bytes(1480), source_port=n) for n in range(10)]
    seen = outcomes(programs, unknown + large)
    answered = seen[Reason.RESET_UNKNOWN_ID] + seen[Reason.ICMP_TOO_BIG]
    assert answered in FEW
    assert seen[Reason.DROP_ANSWER_BUDGET] == 20 - answered


def test_syns_of_all_sources_share_their_owners_budget(
    programs: Programs, limited: Callable[..., None]
) -> None:
    limited(owner_syns=SLOW)
    seen = outcomes(programs, [tcp(f"198.51.100.{n}", port=10002, flags=SYN) for n in range(1, 11)])
    assert seen[Reason.FORWARDED] in FEW
    assert seen[Reason.DROP_SYN_BUDGET] == 10 - seen[Reason.FORWARDED]
    other = outcomes(programs, [tcp(port=10005, flags=SYN)])
    assert other == {Reason.FORWARDED: 1}, "another owner's budget is another"


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (
            [tcp(port=10002, flags=SYN, source_port=n) for n in range(10)],
            tcp("198.51.100.8", port=10002, flags=SYN),
        ),
        (
            [tcp(f"2001:db8:c:1::{n:x}", VIP6, port=10002, flags=SYN) for n in range(1, 11)],
            tcp("2001:db8:c:2::1", VIP6, port=10002, flags=SYN),
        ),
    ],
    ids=["one address", "one IPv6 /64"],
)
def test_a_source_has_a_budget_of_syns(
    programs: Programs, limited: Callable[..., None], same: list[bytes], other: bytes
) -> None:
    clear_sources(programs)
    limited(source_syns=SLOW)
    seen = outcomes(programs, same)
    assert seen[Reason.FORWARDED] in FEW
    assert seen[Reason.DROP_SOURCE_BUDGET] == 10 - seen[Reason.FORWARDED]
    assert outcomes(programs, [other]) == {Reason.FORWARDED: 1}


def clear_sources(programs: Programs) -> None:
    budgets = programs.map("source_budgets", 8)
    for key in range(65536):
        number = key.to_bytes(4, "little")
        if budgets.get(number) != bytes(8):
            budgets.put(number, bytes(8))


@pytest.mark.parametrize("version", [4, 6])
def test_flows_that_their_owner_has_answered_go_first(
    programs: Programs, limited: Callable[..., None], version: int
) -> None:
    client, vip = ("198.51.100.7", "203.0.113.1") if version == 4 else (CLIENT6, VIP6)
    limited(owner_packets=SLOW)
    answer = tcp(source=vip, destination=client, source_port=10002, port=40000, flags=ACK)
    assert programs.run("tunnel_ingress", tunnelled(answer)).reason is Reason.REPLY_RETURNED
    strangers = [tcp(client, vip, source_port=n, port=10002) for n in range(1, 40)]
    seen = outcomes(programs, strangers)
    assert seen[Reason.FORWARDED] - 1 in FEW, "one in this tick unseen, and what is left to strangers"
    assert seen[Reason.DROP_NOT_ADMITTED] == 39 - seen[Reason.FORWARDED]
    admitted = [tcp(client, vip, source_port=40000, port=10002, sequence=n) for n in range(20)]
    assert outcomes(programs, admitted) == {Reason.FORWARDED: 20}

    end = tcp(source=vip, destination=client, source_port=10002, port=40000, flags=RST)
    programs.run("tunnel_ingress", tunnelled(end))
    assert outcomes(programs, admitted)[Reason.DROP_NOT_ADMITTED] > 0, "a reset of the owner ends it"


def test_a_syn_ack_admits_no_flow(programs: Programs, limited: Callable[..., None]) -> None:
    """An owner answers a forged SYN with one."""
    limited(owner_packets=SLOW)
    answer = tcp(
        source="203.0.113.1", destination="198.51.100.7", source_port=10002, port=41000, flags=SYN | ACK
    )
    programs.run("tunnel_ingress", tunnelled(answer))
    seen = outcomes(programs, [tcp(source_port=41000, port=10002, sequence=n) for n in range(20)])
    assert seen[Reason.DROP_NOT_ADMITTED] > 0


def errors_about(source_ports: Iterable[int], port: int = 10002) -> list[bytes]:
    """ICMP errors that quote segments of edge 2's subflows to these ports of a client."""
    return [
        icmp_error(tcp(source=VIP, destination=CLIENT, source_port=port, port=number, data=b"x"))
        for number in source_ports
    ]


def test_icmp_errors_have_a_budget_that_strangers_cannot_use_up(
    programs: Programs, limited: Callable[..., None]
) -> None:
    limited(owner_errors=SLOW, owner_packets=1_000_000)
    answer = tcp(source=VIP, destination=CLIENT, source_port=10002, port=42000, flags=ACK)
    assert programs.run("tunnel_ingress", tunnelled(answer)).reason is Reason.REPLY_RETURNED
    strangers = outcomes(programs, errors_about(range(1, 3001)))
    assert strangers[Reason.ICMP_FORWARDED] in range(1, 60)
    assert strangers[Reason.DROP_ERROR_BUDGET] == 3000 - strangers[Reason.ICMP_FORWARDED]
    assert outcomes(programs, errors_about([42000])) == {Reason.ICMP_FORWARDED: 1}, "of a flow that is known"
    known = outcomes(programs, errors_about([42000] * 100))
    assert known[Reason.DROP_ERROR_BUDGET] > 0, "and no more than its own budget of these"


def handed_on_segments(programs: Programs, site: ReferenceForwarder, flags: int) -> list[bytes]:
    """First subflows that the ring gives to one other edge."""
    segments = [tcp(port=443, source_port=number, flags=flags) for number in range(1, 2000)]
    return [each for each in segments if site.outside(each).reason is Reason.SITE_FORWARDED][:200]


@pytest.mark.parametrize(
    ("flags", "budget", "reason"),
    [
        (ACK, "site_packets", Reason.DROP_SITE_BUDGET),
        (SYN, "owner_syns", Reason.DROP_SYN_BUDGET),
        (SYN, "source_syns", Reason.DROP_SOURCE_BUDGET),
    ],
)
def test_what_the_ring_hands_on_is_charged(
    programs: Programs,
    limited: Callable[..., None],
    site: ReferenceForwarder,
    flags: int,
    budget: str,
    reason: Reason,
) -> None:
    clear_sources(programs)
    limited(**{budget: SLOW})
    segments = handed_on_segments(programs, site, flags)
    assert len(segments) > 50
    seen = outcomes(programs, segments)
    # at most two edges of the site get them, of each one unseen in this tick
    assert seen[Reason.SITE_FORWARDED] in range(1, 20)
    assert seen[reason] == len(segments) - seen[Reason.SITE_FORWARDED]
