"""The C programs and the reference in Python agree byte for byte on whatever comes."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from any_packets import AT_THE_SITE, EITHER, HANDED_ON, MARKS, OWN_REPLIES, PACKETS, damaged, in_a_tunnel
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loaded_programs import AT_A_SITE, REFERENCE, Programs, Ran

from balancer.datapath.maps.layout import NO_LIMITS
from balancer.model.reference.decision import Outcome, ReferenceForwarder

pytestmark = pytest.mark.needs("root", "bcc")

RUNS = settings(max_examples=examples(400), suppress_health_check=[HealthCheck.function_scoped_fixture])


@RUNS
@given(packet=damaged(EITHER))
def test_from_outside(programs: Programs, encapsulation: ReferenceForwarder, packet: bytes) -> None:
    agree(programs.run("outside_ingress", packet), encapsulation.outside(packet))


@RUNS
@given(packet=damaged(in_a_tunnel()))
def test_from_the_backbone(programs: Programs, reference: ReferenceForwarder, packet: bytes) -> None:
    agree(programs.run("tunnel_ingress", packet), reference.tunnel(packet))


@RUNS
@given(packet=damaged(st.one_of(PACKETS, OWN_REPLIES, OWN_REPLIES)), mark=MARKS)
def test_from_this_host(
    programs: Programs, encapsulation: ReferenceForwarder, packet: bytes, mark: int
) -> None:
    agree(programs.run("owner_egress", packet, mark=mark), encapsulation.reply(packet, mark))


@RUNS
@given(packet=damaged(AT_THE_SITE))
def test_at_a_site_from_outside(programs: Programs, site: ReferenceForwarder, packet: bytes) -> None:
    agree(programs.run("outside_ingress", packet), site.outside(packet))


@RUNS
@given(packet=damaged(HANDED_ON))
def test_at_a_site_handed_on(programs: Programs, site: ReferenceForwarder, packet: bytes) -> None:
    agree(programs.run("tunnel_ingress", packet), site.tunnel(packet))


@pytest.fixture(params=["alone", "at a site"])
def exhausted(request: pytest.FixtureRequest, programs: Programs) -> Iterator[ReferenceForwarder]:
    """The reference with all budgets used up; the programs as well."""
    reference = replace(REFERENCE, table=AT_A_SITE if request.param == "at a site" else REFERENCE.table)
    programs.put(reference)
    programs.spend_all()
    yield replace(reference, spent=True)
    programs.allow(NO_LIMITS)
    programs.put(REFERENCE)


@RUNS
@given(packet=damaged(st.one_of(EITHER, AT_THE_SITE)))
def test_with_all_budgets_used_up(programs: Programs, exhausted: ReferenceForwarder, packet: bytes) -> None:
    ran = programs.run("outside_ingress", packet)
    assert not ran.reason.name.endswith("FORWARDED"), "everything that is forwarded is charged"
    agree(ran, exhausted.outside(packet))


@RUNS
@given(packet=damaged(HANDED_ON))
def test_handed_on_with_all_budgets_used_up(
    programs: Programs, exhausted: ReferenceForwarder, packet: bytes
) -> None:
    agree(programs.run("tunnel_ingress", packet), exhausted.tunnel(packet))


GARBAGE = st.builds(
    lambda kind, rest: bytes.fromhex("020000000001020000000002") + kind + rest,
    st.sampled_from([b"\x08\0", b"\x86\xdd", b"\x81\0", b"\x08\x06"]),
    st.binary(min_size=40, max_size=200),
)


@RUNS
@given(packet=GARBAGE, program=st.sampled_from(["outside_ingress", "tunnel_ingress", "owner_egress"]))
def test_garbage(programs: Programs, reference: ReferenceForwarder, packet: bytes, program: str) -> None:
    ask = {
        "outside_ingress": reference.outside,
        "tunnel_ingress": reference.tunnel,
        "owner_egress": lambda given: reference.reply(given, 0x5E000002),
    }
    agree(
        programs.run(program, packet, mark=0x5E000002 if program == "owner_egress" else 0),
        ask[program](packet),
    )


def agree(ran: Ran, wanted: Outcome) -> None:
    assert ran.reason is wanted.reason
    if wanted.packet is None:
        assert ran.action == 2
    else:
        assert ran.packet == wanted.packet
    if wanted.mark is not None:
        assert ran.mark == wanted.mark
