"""Named cases: packet in, reason and packet out."""

import struct
from dataclasses import replace

import pytest
from loaded_programs import Programs
from packets import (
    ACK,
    CLIENT,
    CLIENT6,
    RST,
    SYN,
    VIP,
    VIP6,
    ethernet,
    frame,
    gue_header,
    icmp_error,
    ip,
    tcp,
    tcp_checksum_holds,
    tunnelled,
)

from balancer.model.reference.checksum import checksum
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.reference.packet import ETHERNET, read_frame
from balancer.model.reference.tunnel import Ends, encapsulate, tunnel_to
from balancer.model.table import TableEdge
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "bcc")

OK, DROP, REDIRECT = 0, 2, 7
EDGE2 = TableEdge(2, "edge2", "10.255.0.2", None)


def sent_to_edge2(packet: bytes) -> bytes:
    read, tunnel = read_frame(packet), tunnel_to(Ends("10.255.0.1", None), EDGE2)
    assert read is not None
    assert tunnel is not None
    return encapsulate(read, tunnel)


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
        (tcp(port=10002, data=bytes(1500)), Reason.ICMP_TOO_BIG, REDIRECT),
        (tcp(port=10002, data=bytes(1500), ip_options=bytes(4)), Reason.DROP_TOO_BIG, DROP),
    ],
)
def test_from_outside(programs: Programs, packet: bytes, reason: Reason, action: int) -> None:
    ran = programs.run("outside_ingress", packet)
    assert (ran.reason, ran.action) == (reason, action)
    if action == OK:
        assert ran.packet == packet


def test_a_forwarded_packet_is_the_packet_behind_an_outer_header(programs: Programs) -> None:
    packet = tcp(port=10002, data=b"x" * 100, tos=0xB9)
    ran = programs.run("outside_ingress", packet)
    assert ran.packet == sent_to_edge2(packet)
    assert ran.packet[34:] == packet[14:]
    assert checksum(ran.packet[14:34]) == 0
    assert ran.packet[15] == 0xB9, "DSCP and ECN are carried outside"


@pytest.mark.parametrize("data", [b"", b"fast open"])
def test_a_reset_acknowledges_the_syn_and_its_data(programs: Programs, data: bytes) -> None:
    ran = programs.run("outside_ingress", tcp(port=10777, flags=SYN, sequence=2**32 - 1, data=data))
    assert len(ran.packet) == 54
    assert ran.packet[14 + 12 : 14 + 20] == bytes([203, 0, 113, 1, 198, 51, 100, 7])
    assert struct.unpack_from("!HH", ran.packet, 34) == (10777, 40000)
    assert struct.unpack_from("!I", ran.packet, 42)[0] == len(data)
    assert ran.packet[47] == RST | ACK
    assert checksum(ran.packet[14:34]) == 0
    assert tcp_checksum_holds(ran.packet)


@pytest.mark.parametrize(
    "before", [b"", b"\x01", b"\x01\x01", b"\x04\x02", b"\x08\x0a" + bytes(8), b"\x01" * 5]
)
def test_the_mss_is_clamped_wherever_it_stands_among_six_options(programs: Programs, before: bytes) -> None:
    options = before + MSS_1460
    options += b"\x01" * (-len(options) % 4)
    ran = programs.run("outside_ingress", tcp(port=10002, flags=SYN, options=options))
    inner = ran.packet[:14] + ran.packet[34:]
    at = 14 + 20 + 20 + len(before)
    largest = 1500 - 52 - 40  # for GUE over IPv6, which the table has
    assert inner[at : at + 4] == b"\x02\x04" + struct.pack("!H", largest)
    assert tcp_checksum_holds(inner)


def test_a_small_mss_stays(programs: Programs) -> None:
    packet = tcp(port=10002, flags=SYN, options=b"\x02\x04\x02\x00")
    assert programs.run("outside_ingress", packet).packet[34:] == packet[14:]


def test_a_tunnel_packet_is_delivered_with_its_ingress_in_the_mark(programs: Programs) -> None:
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
def test_from_the_backbone(programs: Programs, packet: bytes, reason: Reason) -> None:
    ran = programs.run("tunnel_ingress", packet)
    assert ran.reason is reason
    if reason.name.startswith("DROP_"):
        assert ran.action == DROP
    if reason is Reason.REPLY_RETURNED:
        assert ran.packet == REPLY


def test_a_marked_reply_goes_back_to_its_ingress(programs: Programs) -> None:
    ran = programs.run("owner_egress", OWN_REPLY, mark=0x5E000002)
    assert (ran.reason, ran.action, ran.mark) == (Reason.REPLY_FORWARDED, REDIRECT, 0)
    assert ran.packet == sent_to_edge2(OWN_REPLY)


def test_a_reply_whose_ingress_is_gone_is_dropped_and_never_takes_the_owners_way(programs: Programs) -> None:
    ran = programs.run("owner_egress", OWN_REPLY, mark=0x5E000063)
    assert (ran.reason, ran.action) == (Reason.DROP_UNKNOWN_INGRESS, DROP)


def test_a_reply_of_a_vip_with_direct_replies_stays_on_the_owners_own_way(programs: Programs) -> None:
    delivered = programs.run("tunnel_ingress", tunnelled(tcp(destination="203.0.113.2", port=20001)))
    assert (delivered.reason, delivered.mark) == (Reason.DELIVERED, 0x5D000002)
    reply = {"source": "203.0.113.2", "destination": "198.51.100.7", "source_port": 20001, "port": 40000}
    ran = programs.run("owner_egress", tcp(**reply, data=b"x" * 1460), mark=0x5D000002)
    assert (ran.reason, ran.action) == (Reason.REPLY_DIRECT, OK)
    mss = tcp(**reply, flags=0x12, options=b"\x02\x04\x05\xb4")
    clamped = programs.run("owner_egress", mss, mark=0x5D000002)
    assert clamped.packet[-4:] == b"\x02\x04" + (1500 - 52 - 40).to_bytes(2, "big"), (
        "what comes fits the tunnel"
    )


@pytest.mark.parametrize(("packet", "mark"), [(OWN_REPLY, 0), (OWN_REPLY, 0x11000002), (REPLY, 0x5E000002)])
def test_what_is_not_a_marked_reply_of_ours_goes_as_it_came(
    programs: Programs, packet: bytes, mark: int
) -> None:
    ran = programs.run("owner_egress", packet, mark=mark)
    assert (ran.reason, ran.action, ran.packet) == (Reason.NOT_FOR_VIP, OK, packet)


def test_icmp_to_the_vip_is_the_kernels(programs: Programs) -> None:
    packet = ethernet(ip(bytes([198, 51, 100, 7, 203, 0, 113, 1]), 1, b"\x08\0\0\0" + bytes(28)))
    assert programs.run("outside_ingress", packet).reason is Reason.NOT_FOR_VIP


def test_an_icmp_error_about_a_forwarded_subflow_goes_to_its_owner(programs: Programs) -> None:
    error = icmp_error(REPLY)
    ran = programs.run("outside_ingress", error)
    assert (ran.reason, ran.action) == (Reason.ICMP_FORWARDED, REDIRECT)
    assert ran.packet == sent_to_edge2(error)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (icmp_error(OWN_REPLY), Reason.NOT_FOR_VIP),
        (icmp_error(tcp(source="203.0.113.1", source_port=443)), Reason.NOT_FOR_VIP),
        (icmp_error(tcp(source="203.0.113.1", source_port=10777)), Reason.DROP_UNKNOWN_ID),
    ],
)
def test_other_icmp_errors(programs: Programs, packet: bytes, reason: Reason) -> None:
    assert programs.run("outside_ingress", packet).reason is reason


def test_the_owner_takes_an_icmp_error_about_its_own_subflow_alone(programs: Programs) -> None:
    ran = programs.run("tunnel_ingress", tunnelled(icmp_error(OWN_REPLY)))
    assert (ran.reason, ran.mark, ran.packet) == (Reason.ICMP_DELIVERED, 0x5E000002, icmp_error(OWN_REPLY))
    assert programs.run("tunnel_ingress", tunnelled(icmp_error(REPLY))).reason is Reason.DROP_BAD_INNER


@pytest.mark.parametrize("ect", [1, 2])
def test_congestion_in_the_tunnel_is_marked_for_the_receiver(programs: Programs, ect: int) -> None:
    ran = programs.run("tunnel_ingress", tunnelled(tcp(port=10001, tos=0xB8 | ect), tos=0xBB))
    assert ran.reason is Reason.DELIVERED
    assert ran.packet[15] == 0xBB
    assert checksum(ran.packet[14:34]) == 0


def test_ipv6_is_forwarded_as_ipv4_is(programs: Programs) -> None:
    packet = tcp(source=CLIENT6, destination=VIP6, port=10002, data=b"six")
    ran = programs.run("outside_ingress", packet)
    assert (ran.reason, ran.action) == (Reason.FORWARDED, REDIRECT)
    assert ran.packet[14] == 0x45, "IPv4 outside, where both edges have it"
    assert ran.packet[23] == 41, "IPv6 in IPv4 (RFC 4213)"
    assert ran.packet[12:14] == b"\x08\x00"
    assert ran.packet[34:] == packet[14:]


@pytest.mark.parametrize(
    ("edge", "outer"), [(2, "ip, 20"), (4, "ip6, 40"), (5, "gue, 32"), (6, "gue6, 52")], ids=lambda x: str(x)
)
@pytest.mark.parametrize("version", [4, 6])
def test_each_outer_header_has_its_place_and_length(
    programs: Programs, edge: int, outer: str, version: int
) -> None:
    kind, size = outer.split(", ")
    source, destination = ("198.51.100.7", "203.0.113.1") if version == 4 else (CLIENT6, VIP6)
    packet = tcp(source=source, destination=destination, port=10000 + edge, data=b"x" * 10)
    ran = programs.run("outside_ingress", packet)
    assert ran.packet[14 + int(size) :] == packet[14:]
    if kind.startswith("gue"):
        udp = ran.packet[14 + int(size) - 12 : 14 + int(size)]
        assert int.from_bytes(udp[0:2], "big") >= 49152
        assert int.from_bytes(udp[2:4], "big") == 6080
        assert int.from_bytes(udp[4:6], "big") == 12 + len(packet) - 14
        assert udp[6:8] == bytes(2), "no UDP checksum"
        assert udp[8:] == gue_header(packet)


def test_gue_gives_packets_of_one_flow_one_port_and_other_flows_others(programs: Programs) -> None:
    def port(**fields: int) -> bytes:
        packet = tcp(port=10005, **fields)  # type: ignore[arg-type]
        return bytes(programs.run("outside_ingress", packet).packet[34:36])

    assert port(sequence=1) == port(sequence=2)
    assert len({port(source_port=40000 + n) for n in range(64)}) > 50


@pytest.mark.parametrize(
    ("destination", "port", "reason"),
    [
        ("198.18.7.0", 443, Reason.SERVICE_PORT),
        ("198.18.7.0", 10002, Reason.SERVICE_PORT),
        ("198.18.7.1", 443, Reason.OWN_LOCATOR),
        ("198.18.7.2", 443, Reason.FORWARDED),
        ("198.18.7.2", 22, Reason.DROP_OTHER_PORT),
        ("198.18.7.9", 443, Reason.DROP_UNKNOWN_ID),
        ("198.18.8.2", 443, Reason.NOT_FOR_VIP),
        ("203.0.113.2", 20002, Reason.FORWARDED),
        ("203.0.113.2", 10002, Reason.SERVICE_PORT),
        ("203.0.113.3", 443, Reason.NOT_FOR_VIP),
        ("2001:db8:a::", 443, Reason.SERVICE_PORT),
        ("2001:db8:a::2", 443, Reason.FORWARDED),
        ("2001:db8:a::ff02", 443, Reason.DROP_UNKNOWN_ID),
        ("2001:db8:a::1:2", 443, Reason.NOT_FOR_VIP),
        ("203.0.113.4", 10002, Reason.FORWARDED),
        ("2001:db8:e::", 10002, Reason.SERVICE_PORT),
        ("2001:db8:e::1", 443, Reason.OWN_LOCATOR),
        ("2001:db8:e::2", 443, Reason.FORWARDED),
    ],
)
def test_several_vips_and_address_locators(
    programs: Programs, destination: str, port: int, reason: Reason
) -> None:
    source = CLIENT6 if ":" in destination else "198.51.100.7"
    ran = programs.run("outside_ingress", tcp(source=source, destination=destination, port=port))
    assert ran.reason is reason


@pytest.mark.parametrize("kind", ["ip", "gue"])
@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("version", [4, 6])
def test_every_tunnel_is_taken_off(programs: Programs, version: int, outer: int, kind: str) -> None:
    pair = {} if version == 4 else {"source": CLIENT6, "destination": VIP6}
    packet = tcp(port=10001, data=b"hello", **pair)  # type: ignore[arg-type]
    ends = ("10.255.0.2", "10.255.0.1") if outer == 4 else ("2001:db8:b::2", "2001:db8:b::1")
    ran = programs.run(
        "tunnel_ingress", tunnelled(packet, *ends, gue=gue_header(packet) if kind == "gue" else None)
    )
    assert (ran.reason, ran.action, ran.mark) == (Reason.DELIVERED, OK, 0x5E000002)
    assert ran.packet == packet


@pytest.mark.parametrize("program", ["outside_ingress", "tunnel_ingress", "owner_egress"])
@pytest.mark.parametrize("tag", [b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"])
def test_tagged_frames_pass_to_their_own_interface(programs: Programs, program: str, tag: bytes) -> None:
    packet = tcp(port=10002)
    packet = packet[:12] + tag + packet[12:]
    ran = programs.run(program, packet, mark=0x5E000002 if program == "owner_egress" else 0)
    assert (ran.reason, ran.action) == (Reason.NOT_FOR_VIP, OK)


def test_a_fragment_of_ipv6_is_dropped_and_neighbour_discovery_passes(programs: Programs) -> None:
    packet = tcp(source=CLIENT6, destination=VIP6, port=10002, fragment=0x2000)
    assert programs.run("outside_ingress", packet).reason is Reason.DROP_FRAGMENT
    solicitation = tcp(source="fe80::1", destination="ff02::1:ff00:1", port=10002)
    assert programs.run("outside_ingress", solicitation).reason is Reason.NOT_FOR_VIP


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_too_big_is_reported_to_its_sender(programs: Programs, version: int) -> None:
    pair = {} if version == 4 else {"source": CLIENT6, "destination": VIP6}
    packet = tcp(port=10002, data=bytes(1460), **pair)  # type: ignore[arg-type]
    ran = programs.run("outside_ingress", packet)
    assert (ran.reason, ran.action) == (Reason.ICMP_TOO_BIG, REDIRECT)
    answer = read_frame(ran.packet)
    given = read_frame(packet)
    assert answer is not None
    assert given is not None
    assert (answer.source, answer.destination) == (given.destination, given.source)
    message = ran.packet[answer.l4 :]
    assert message[:2] == (b"\x03\x04" if version == 4 else b"\x02\x00")
    assert int.from_bytes(message[4:8], "big") == 1480
    assert packet[14:].startswith(message[8:])
    pseudo = b"" if version == 4 else ran.packet[22:54] + struct.pack("!II", len(message), 58)
    assert checksum(pseudo + message) == 0


def test_a_stale_table_refuses_no_client(programs: Programs, reference: ReferenceForwarder) -> None:
    programs.put(replace(reference, fresh=False))
    ran = programs.run("outside_ingress", tcp(port=10777, flags=SYN))
    programs.put(reference)
    assert (ran.reason, ran.action) == (Reason.DROP_STALE, DROP)


def test_replies_follow_their_client_to_another_ingress_when_the_old_one_is_down(programs: Programs) -> None:
    """Edge 3 is down in the table, 99 is not in it."""
    programs.live.words.arrivals = 1
    for marked in (3, 99):
        lost = Reason.DROP_INGRESS_DOWN if marked == 3 else Reason.DROP_UNKNOWN_INGRESS
        reply = tcp(source="203.0.113.1", destination="198.51.100.7", source_port=10001, port=40000 + marked)
        assert programs.run("owner_egress", reply, mark=0x5E000000 | marked).reason is lost
        programs.run("tunnel_ingress", tunnelled(tcp(source_port=40000 + marked, port=10001)))
        ran = programs.run("owner_egress", reply, mark=0x5E000000 | marked)
        assert (ran.reason, ran.action) == (Reason.REPLY_REROUTED, REDIRECT)
        assert ran.packet == sent_to_edge2(reply)
    programs.live.words.arrivals = 0


@pytest.mark.parametrize("header", [0, 43, 51, 60, 135, 139, 140])
@pytest.mark.parametrize("destination", [VIP6, "2001:db8:a::2"])
def test_no_ipv6_extension_header_reaches_the_kernel_which_would_reset_in_the_owners_name(
    programs: Programs, destination: str, header: int
) -> None:
    segment = tcp(source=CLIENT6, destination=destination, port=10002, flags=2)[54:]
    packet = frame(CLIENT6, destination, header, bytes([6, 0, 1, 4, 0, 0, 0, 0]) + segment)
    ran = programs.run("outside_ingress", packet)
    assert (ran.reason, ran.action) == (Reason.DROP_EXTENSION, DROP)


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("127.0.0.1", VIP),
        ("0.0.0.0", VIP),
        ("255.255.255.255", VIP),
        ("239.1.1.1", VIP),
        ("240.0.0.1", VIP),
        (VIP, VIP),
        ("::", VIP6),
        ("::1", VIP6),
        ("ff02::1", VIP6),
        ("::ffff:198.51.100.7", VIP6),
        (CLIENT6, f"::ffff:{VIP}"),
        (VIP6, VIP6),
    ],
)
@pytest.mark.parametrize("port", [443, 10001, 10002, 10777])
def test_a_segment_of_a_martian_is_neither_answered_nor_forwarded(
    programs: Programs, source: str, destination: str, port: int
) -> None:
    ran = programs.run("outside_ingress", tcp(source, destination, port=port, flags=2))
    assert (ran.reason, ran.action) == (Reason.DROP_MARTIAN, DROP)


@pytest.mark.parametrize("protocol", [1, 17, 47, 132])
def test_what_no_program_takes_is_not_sent_back_by_the_kernel(programs: Programs, protocol: int) -> None:
    for number in (2, 9, 200):
        packet = frame(CLIENT, f"198.18.7.{number}", protocol, b"\x08\0\0\0" + bytes(1200))
        ran = programs.run("outside_ingress", packet)
        assert (ran.reason, ran.action) == (Reason.DROP_NOT_TCP, DROP)
    own = programs.run("outside_ingress", frame(CLIENT, "198.18.7.1", protocol, bytes(40)))
    assert (own.reason, own.action) == (Reason.NOT_FOR_VIP, OK)


def test_an_icmp_error_about_a_first_subflow_of_the_site_goes_to_the_flows_edge(
    programs: Programs, site: ReferenceForwarder
) -> None:
    for number in range(1, 200):
        reply = tcp(source=VIP, destination=CLIENT, source_port=443, port=number, data=b"x")
        error, segment = icmp_error(reply), tcp(port=443, source_port=number)
        wanted = site.outside(segment)
        ran = programs.run("outside_ingress", error)
        if wanted.reason is Reason.SERVICE_PORT:
            assert (ran.reason, ran.packet) == (Reason.NOT_FOR_VIP, error)
            continue
        assert ran.reason is Reason.ICMP_FORWARDED
        assert wanted.packet is not None
        assert ran.packet[26:34] == wanted.packet[26:34], "to the same tunnel"


@pytest.mark.parametrize("version", [4, 6])
def test_what_goes_from_tunnel_to_tunnel_has_few_hops_left(
    programs: Programs, site: ReferenceForwarder, version: int
) -> None:
    at = ETHERNET + (8 if version == 4 else 7)
    ends = {} if version == 4 else {"source": "2001:db8:1::2", "destination": VIP6}
    # a tunnel of the same version: Linux 6.1 takes off no other
    tunnel = () if version == 4 else ("2001:db8:b::2", "2001:db8:b::1")
    segments = (tcp(source_port=port, **ends) for port in range(1024, 65535))
    inner = next(
        each for each in segments if site.tunnel(tunnelled(each, *tunnel)).reason is Reason.SITE_CHAINED
    )
    for before, after in ((64, 3), (255, 3), (4, 3), (3, 2), (2, 1), (1, None), (0, None)):
        sent = tunnelled(inner[:at] + bytes([before]) + inner[at + 1 :], *tunnel)
        ran, wanted = programs.run("tunnel_ingress", sent), site.tunnel(sent)
        assert ran.reason is wanted.reason is (Reason.SITE_CHAINED if after else Reason.DROP_WRONG_OWNER)
        if after:
            assert ran.packet == wanted.packet
            assert ran.packet[-len(inner) + at] == after
