"""The C programs and the reference in Python agree byte for byte on whatever comes."""

import pytest
from any_packets import EITHER, FIRST_SUBFLOWS, HANDED_ON, MARKS, OWN_REPLIES, PACKETS, damaged, in_a_tunnel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loaded_programs import Programs, Ran

from balancer.model.reference.decision import Outcome, ReferenceForwarder

pytestmark = pytest.mark.needs("root", "bcc")

RUNS = settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])


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
@given(packet=damaged(FIRST_SUBFLOWS))
def test_at_a_site_from_outside(programs: Programs, site: ReferenceForwarder, packet: bytes) -> None:
    agree(programs.run("outside_ingress", packet), site.outside(packet))


@RUNS
@given(packet=damaged(HANDED_ON))
def test_at_a_site_handed_on(programs: Programs, site: ReferenceForwarder, packet: bytes) -> None:
    agree(programs.run("tunnel_ingress", packet), site.tunnel(packet))


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
