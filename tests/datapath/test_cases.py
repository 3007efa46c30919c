"""Named cases: packet in, reason and packet out."""

import struct

import pytest
from packets import ACK, RST, SYN, ethernet, icmp_error, ip, tcp, tcp_checksum_holds, tunnelled

from balancer.model.rewrite import checksum, encapsulate
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "bcc")

OK, DROP, REDIRECT = 0, 2, 7
MSS_1460 = b"\x02\x04" + struct.pack("!H", 1460)


@pytest.mark.parametrize(
    ("packet", "reason", "action"),
    [
        (tcp(destination="192.0.2.1", port=10002), Reason.NOT_FOR_VIP, OK),
        (tcp(port=443), Reason.SERVICE_PORT, OK),
        (tcp(port=9999), Reason.SERVICE_PORT, OK),
        (tcp(port=10000), Reason.DROP_ID_ZERO, DROP),
        (tcp(port=10001), Reason.OWN_LOCATOR, OK),
        (tcp(port=10002), Reason.FORWARDED, REDIRECT),
        (tcp(port=10003), Reason.FORWARDED, REDIRECT),
        (tcp(port=10003, flags=SYN), Reason.RESET_OWNER_DOWN, REDIRECT),
        (tcp(port=10777, flags=SYN), Reason.RESET_UNKNOWN_ID, REDIRECT),
        (tcp(port=10777, flags=ACK), Reason.DROP_UNKNOWN_ID, DROP),
        (tcp(port=10777, flags=RST), Reason.DROP_UNKNOWN_ID, DROP),
        (tcp(port=10777, flags=SYN | RST), Reason.DROP_UNKNOWN_ID, DROP),
        (tcp(port=65535), Reason.DROP_UNKNOWN_ID, DROP),
        (tcp(port=10002, fragment=0x2000), Reason.DROP_FRAGMENT, DROP),
        (tcp(port=10002, fragment=0x0001), Reason.DROP_FRAGMENT, DROP),
        (tcp(port=10002)[:50], Reason.DROP_TRUNCATED, DROP),
        (tcp(port=10002, data=bytes(20))[:60], Reason.DROP_TRUNCATED, DROP),
        (tcp(port=10777, flags=SYN, ip_options=bytes(4)), Reason.DROP_FAILED, DROP),
        (tcp(port=10002, data=bytes(1500)), Reason.DROP_TOO_BIG, DROP),
    ],
)
def test_from_outside(programs, packet: bytes, reason: Reason, action: int) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("outside_ingress", packet)
    assert (ran.reason, ran.action) == (reason, action)
    if action == OK:
        assert ran.packet == packet


def test_a_forwarded_packet_is_the_packet_behind_an_outer_header(programs) -> None:  # type: ignore[no-untyped-def]
    packet = tcp(port=10002, data=b"x" * 100, tos=0xB9)
    ran = programs.run("outside_ingress", packet)
    assert ran.packet == encapsulate(packet, "10.255.0.1", "10.255.0.2")
    assert ran.packet[34:] == packet[14:]
    assert checksum(ran.packet[14:34]) == 0
    assert ran.packet[15] == 0xB9, "DSCP and ECN are carried outside"


@pytest.mark.parametrize("data", [b"", b"fast open"])
def test_a_reset_acknowledges_the_syn_and_its_data(programs, data: bytes) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("outside_ingress", tcp(port=10777, flags=SYN, sequence=2**32 - 1, data=data))
    assert len(ran.packet) == 54
    assert ran.packet[14 + 12 : 14 + 20] == bytes([203, 0, 113, 1, 198, 51, 100, 7])
    assert struct.unpack_from("!HH", ran.packet, 34) == (10777, 40000)
    assert struct.unpack_from("!I", ran.packet, 42)[0] == len(data)
    assert ran.packet[47] == RST | ACK
    assert checksum(ran.packet[14:34]) == 0
    assert tcp_checksum_holds(ran.packet)


@pytest.mark.parametrize(
    "before", [b"", b"\x01", b"\x01\x01", b"\x04\x02", b"\x08\x0a" + bytes(8), b"\x01" * 7]
)
def test_the_mss_is_clamped_wherever_it_stands(programs, before: bytes) -> None:  # type: ignore[no-untyped-def]
    options = before + MSS_1460
    options += b"\x01" * (-len(options) % 4)
    ran = programs.run("outside_ingress", tcp(port=10002, flags=SYN, options=options))
    inner = ran.packet[:14] + ran.packet[34:]
    at = 14 + 20 + 20 + len(before)
    assert inner[at : at + 4] == b"\x02\x04" + struct.pack("!H", 1440)
    assert tcp_checksum_holds(inner)


def test_a_small_mss_stays(programs) -> None:  # type: ignore[no-untyped-def]
    packet = tcp(port=10002, flags=SYN, options=b"\x02\x04\x02\x00")
    assert programs.run("outside_ingress", packet).packet[34:] == packet[14:]


def test_a_tunnel_packet_is_delivered_with_its_ingress_in_the_mark(programs) -> None:  # type: ignore[no-untyped-def]
    packet = tcp(port=10001, data=b"hello")
    ran = programs.run("tunnel_ingress", tunnelled(packet))
    assert (ran.reason, ran.action, ran.mark) == (Reason.DELIVERED, OK, 0x5E000002)
    assert ran.packet == packet


REPLY = tcp(source="203.0.113.1", destination="198.51.100.7", source_port=10002, port=40000)
OWN_REPLY = tcp(source="203.0.113.1", destination="198.51.100.7", source_port=10001, port=40000)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (tunnelled(tcp(port=10002)), Reason.DROP_WRONG_OWNER),
        (tunnelled(tcp(port=443)), Reason.DROP_WRONG_OWNER),
        (tunnelled(tcp(port=10001), source="10.255.0.99"), Reason.DROP_UNKNOWN_TUNNEL),
        (tunnelled(tcp(port=10001), source="10.255.0.1"), Reason.DROP_UNKNOWN_TUNNEL),
        (tunnelled(tcp(port=10001), tos=3), Reason.DROP_CONGESTION),
        (tunnelled(tcp(port=10001), fragment=0x2000), Reason.DROP_FRAGMENT),
        (tunnelled(tcp(port=10001, fragment=1)), Reason.DROP_BAD_INNER),
        (tunnelled(tcp(destination="192.0.2.9", port=10001)), Reason.DROP_BAD_INNER),
        (tunnelled(ethernet(b"garbage that is no packet")), Reason.DROP_BAD_INNER),
        (tunnelled(tunnelled(tcp(port=10001))), Reason.DROP_BAD_INNER),
        (tunnelled(OWN_REPLY), Reason.DROP_WRONG_SENDER),
        (tunnelled(tcp(port=10001), destination="10.255.0.2"), Reason.NOT_FOR_VIP),
        (tunnelled(tcp(port=10001), protocol=17), Reason.NOT_FOR_VIP),
        (tunnelled(REPLY), Reason.REPLY_RETURNED),
    ],
)
def test_from_the_backbone(programs, packet: bytes, reason: Reason) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("tunnel_ingress", packet)
    assert ran.reason is reason
    if reason.name.startswith("DROP_"):
        assert ran.action == DROP
    if reason is Reason.REPLY_RETURNED:
        assert ran.packet == REPLY


def test_a_marked_reply_goes_back_to_its_ingress(programs) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("owner_egress", OWN_REPLY, mark=0x5E000002)
    assert (ran.reason, ran.action, ran.mark) == (Reason.REPLY_FORWARDED, REDIRECT, 0)
    assert ran.packet == encapsulate(OWN_REPLY, "10.255.0.1", "10.255.0.2")


def test_a_reply_whose_ingress_is_gone_is_dropped_and_never_takes_the_owners_way(programs) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("owner_egress", OWN_REPLY, mark=0x5E000063)
    assert (ran.reason, ran.action) == (Reason.DROP_UNKNOWN_INGRESS, DROP)


@pytest.mark.parametrize(("packet", "mark"), [(OWN_REPLY, 0), (OWN_REPLY, 0x11000002), (REPLY, 0x5E000002)])
def test_what_is_not_a_marked_reply_of_ours_goes_as_it_came(programs, packet: bytes, mark: int) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("owner_egress", packet, mark=mark)
    assert (ran.reason, ran.action, ran.packet) == (Reason.NOT_FOR_VIP, OK, packet)


def test_icmp_to_the_vip_is_the_kernels(programs) -> None:  # type: ignore[no-untyped-def]
    packet = ethernet(ip(bytes([198, 51, 100, 7, 203, 0, 113, 1]), 1, b"\x08\0\0\0" + bytes(28)))
    assert programs.run("outside_ingress", packet).reason is Reason.NOT_FOR_VIP


def test_an_icmp_error_about_a_forwarded_subflow_goes_to_its_owner(programs) -> None:  # type: ignore[no-untyped-def]
    error = icmp_error(REPLY)
    ran = programs.run("outside_ingress", error)
    assert (ran.reason, ran.action) == (Reason.ICMP_FORWARDED, REDIRECT)
    assert ran.packet == encapsulate(error, "10.255.0.1", "10.255.0.2")


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (icmp_error(OWN_REPLY), Reason.NOT_FOR_VIP),
        (icmp_error(tcp(source="203.0.113.1", source_port=443)), Reason.NOT_FOR_VIP),
        (icmp_error(tcp(source="203.0.113.1", source_port=10777)), Reason.DROP_UNKNOWN_ID),
    ],
)
def test_other_icmp_errors(programs, packet: bytes, reason: Reason) -> None:  # type: ignore[no-untyped-def]
    assert programs.run("outside_ingress", packet).reason is reason


def test_the_owner_takes_an_icmp_error_about_its_own_subflow_alone(programs) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("tunnel_ingress", tunnelled(icmp_error(OWN_REPLY)))
    assert (ran.reason, ran.mark, ran.packet) == (Reason.ICMP_DELIVERED, 0x5E000002, icmp_error(OWN_REPLY))
    assert programs.run("tunnel_ingress", tunnelled(icmp_error(REPLY))).reason is Reason.DROP_BAD_INNER


@pytest.mark.parametrize("ect", [1, 2])
def test_congestion_in_the_tunnel_is_told_to_the_receiver(programs, ect: int) -> None:  # type: ignore[no-untyped-def]
    ran = programs.run("tunnel_ingress", tunnelled(tcp(port=10001, tos=0xB8 | ect), tos=0xBB))
    assert ran.reason is Reason.DELIVERED
    assert ran.packet[15] == 0xBB
    assert checksum(ran.packet[14:34]) == 0


@pytest.mark.parametrize("program", ["outside_ingress", "tunnel_ingress", "owner_egress"])
def test_ipv6_passes(programs, program: str) -> None:  # type: ignore[no-untyped-def]
    addresses = bytes.fromhex("20010db8" + "00" * 12) + bytes.fromhex("20010db8" + "00" * 11 + "01")
    packet = tcp()[:12] + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, 20, 6, 64) + addresses + bytes(20)
    ran = programs.run(program, packet, mark=0x5E000002 if program == "owner_egress" else 0)
    assert (ran.reason, ran.action, ran.packet) == (Reason.NOT_FOR_VIP, OK, packet)
