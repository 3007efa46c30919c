"""The forwarder's programs by test run: nanoseconds a packet for each way, in tc and XDP, one flow to a million.

Net: less a program that does nothing but choose the flow, and less the undoing (half of making room and taking it away
again). The peer of the ways that encapsulate is the least that IP in IP takes in that hook. Budgets are
counted and never used up, the table has 1,000 edges.
"""

import re
import statistics
import struct
from collections.abc import Callable
from pathlib import Path

from balancer.datapath.load.compile import compile_and_load
from balancer.datapath.maps.generation import OUTER, Generations, map_content
from balancer.datapath.maps.layout import CONFIG, HOP, ID, Budgets, ForwarderConfig
from balancer.datapath.maps.live_words import Live
from balancer.datapath.maps.pins import SIZES
from balancer.model.reference.packet import ACK, mapped_address, read_frame
from balancer.model.reference.trace import PacketEndpoint, frame_of
from balancer.model.reference.tunnel import Ends, encapsulate, tunnel_to
from balancer.model.table import Encapsulation, ForwardingTable, TableEdge
from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Measured, Value
from node.vip import Vip
from runtime.bpf.maps import Map, possible_cpus
from runtime.bpf.program_run import run_often, run_once

TIMES, ROUNDS = 200_000, 9  # runs of a program: 1,800,000 packets of each way in all
OK, REDIRECT, XDP_PASS, XDP_REDIRECT = 0, 7, 2, 4
ACTIONS = {  # how each has to end
    "nothing": OK,
    "room": OK,
    "bare": REDIRECT,
    "forward": REDIRECT,
    "forward_gue": REDIRECT,
    "pass": OK,
    "reply": REDIRECT,
    "bare_off": OK,
    "tunnel": OK,
    "back": REDIRECT,
    "nothing_xdp": XDP_PASS,
    "room_xdp": XDP_PASS,
    "bare_xdp": XDP_REDIRECT,
    "forward_xdp": XDP_REDIRECT,
    "forward_gue_xdp": XDP_REDIRECT,
    "pass_xdp": XDP_PASS,
}
FLOWS = {"one flow": 1, "64,000 flows": 64_000, "1,000,000 flows": 1_000_000}
NEVER_EXPIRES = 2**63
TURN = struct.Struct("=II")
PLENTY = Budgets(*[1_000_000_000] * 6)  # budgets that are kept, and never used up
MORE = Path(__file__).with_suffix(".c").read_text()
PROGRAMS = tuple(re.findall(r"^int (\w+)\(", MORE, re.MULTILINE))
OWN = Ends("10.255.0.1", None)
VIP = Vip("main", "203.0.113.1", None)
EDGES = tuple(
    TableEdge(
        number,
        f"edge{number}",
        f"10.255.{number >> 8}.{number & 255}",
        None,
        encapsulation=Encapsulation.GUE if number == 3 else Encapsulation.IPIP,
    )
    for number in range(1, 1001)
)
CLIENT = "198.51.100.7"
# katran's program, its flow table knowing the flow, took 6.0 of these bare encapsulations in XDP in a run of both
# (docs/forwarder/tuning.md, "Speed"); the target is 0.55 of that
TARGET = 0.55 * 6.0

WAYS = (
    ("forward_xdp", "XDP, to another edge, IP in IP", "bare_xdp"),
    ("forward_gue_xdp", "XDP, to another edge, GUE", "bare_xdp"),
    ("forward", "tc, to another edge, IP in IP", "bare"),
    ("forward_gue", "tc, to another edge, GUE", "bare"),
    ("reply", "reply to its ingress, IP in IP", "bare"),
    ("tunnel", "delivered from a tunnel", "bare_off"),
    ("back", "returned to a client", "bare_off"),
)
PEERS = {
    "bare": "bare encapsulation in tc",
    "bare_off": "bare decapsulation in tc",
    "bare_xdp": "bare encapsulation in XDP",
}


def measure() -> list[Measured]:
    """Needs root and bcc."""
    loaded = compile_and_load(fast=True, more=MORE, programs=PROGRAMS)
    _fill_maps(loaded.maps)
    turns = Map(loaded.owner[b"turns"].map_fd, ID.size, TURN.size)
    plain, gue = _tcp_frame(CLIENT, VIP.v4, 40000, 10002), _tcp_frame(CLIENT, VIP.v4, 40000, 10003)
    service = _tcp_frame(CLIENT, VIP.v4, 40000, 443)
    delivered = _tunnelled_frame(_tcp_frame(CLIENT, VIP.v4, 40000, 10001))
    packets = {
        "pass": service,
        "pass_xdp": service,
        "forward_gue": gue,
        "forward_gue_xdp": gue,
        "reply": _tcp_frame(VIP.v4, CLIENT, 10001, 40000),
        "bare_off": delivered,
        "tunnel": delivered,
        "back": _tunnelled_frame(_tcp_frame(VIP.v4, CLIENT, 10002, 40000)),
    }
    results: list[Measured] = []
    for text, flows in FLOWS.items():
        turns.put(ID.pack(0), TURN.pack(0, flows))
        ways = {
            name: _time_program(loaded.programs[f"bench_{name}"], packets.get(name, plain), wanted)
            for name, wanted in ACTIONS.items()
        }
        results += _measure(ways, text)
    return results


def _time_program(descriptor: int, packet: bytes, wanted: int) -> Callable[[], float]:
    """Nanoseconds a run of a program that has to leave the packet as it was, and to end so."""
    first, after, _ = run_once(descriptor, packet)
    assert len(after) == len(packet), "it does not undo"
    assert first == wanted, f"it ended with {first}"

    def run() -> float:
        last, took = run_often(descriptor, packet, TIMES)
        assert last == first, f"it ended with {last}"
        return took

    return run


def _measure(ways: dict[str, Callable[[], float]], flows: str) -> list[Measured]:
    for way in ways.values():
        way()
    rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    net: dict[str, list[float]] = {name: [] for name in ways}
    for seen in rounds:
        for name, took in seen.items():
            hook = "_xdp" if name.endswith("_xdp") else ""
            nothing = seen[f"nothing{hook}"]
            undone = 0 if name.startswith(("pass", "nothing")) else (seen[f"room{hook}"] - nothing) / 2
            net[name].append(took - nothing - undone)
    ratios = [
        from_pairs(
            f"forwarder, {text}, {flows}",
            "ns",
            PEERS[peer],
            list(zip(net[name], net[peer], strict=True)),
            better="lower",
            target=TARGET if name == "forward_xdp" else None,
        )
        for name, text, peer in WAYS
    ]
    values: list[Measured] = []
    for name, hook in (("pass", "tc"), ("pass_xdp", "XDP")):
        low, middle, high = statistics.quantiles(net[name], n=4)
        text = f"forwarder, {hook}, passed to the service port, {flows}"
        values.append(Value(text, "ns", "lower", middle, low, high))
    return [*ratios, *values]


def _fill_maps(maps: dict[str, int]) -> None:
    config = ForwarderConfig(1, OWN, 1, 1, 1500, PLENTY, seed=7)
    Map(maps["config_map"], ID.size, CONFIG.size).put(ID.pack(0), config.pack())
    outer = {name: Map(maps[name], *SIZES[name]) for name in OUTER}
    generations = Generations(outer, Live(Map(maps["live_map"], ID.size, 0)))
    generations.activate(map_content(ForwardingTable(1, (VIP,), EDGES), 1, OWN, (), None))
    hops = Map(maps["hops"], ID.size, HOP.size)
    for edge in EDGES[:3]:
        assert edge.tunnel_v4
        hop = HOP.pack(NEVER_EXPIRES, mapped_address(edge.tunnel_v4), bytes(12))
        hops.put(ID.pack(edge.id), hop * possible_cpus())


def _tcp_frame(source: str | None, destination: str | None, source_port: int, port: int) -> bytes:
    ends = PacketEndpoint.parse(f"{source}:{source_port}"), PacketEndpoint.parse(f"{destination}:{port}")
    return frame_of(*ends, ACK)


def _tunnelled_frame(frame: bytes) -> bytes:
    packet, tunnel = read_frame(frame), tunnel_to(Ends("10.255.0.2", None), EDGES[0])
    assert packet is not None
    assert tunnel is not None
    return encapsulate(packet, tunnel)
