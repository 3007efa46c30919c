"""The eBPF datapath of one edge: load, run, status, capture, detach."""

import argparse
import json
import signal
import sys
import threading
from dataclasses import fields
from pathlib import Path

from runtime.errors import CommandError


def run(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    from balancer.datapath.load.attach import ForeignProgram
    from balancer.datapath.load.host_settings import HostRefuses
    from balancer.datapath.load.install import NotInstalled
    from balancer.datapath.load.interfaces import InterfaceUnknown
    from balancer.datapath.load.loaded import ProgramsNotLoaded
    from balancer.datapath.maps.pins import NotLoaded
    from node.state.identity import NodeUnknown

    try:
        return int(options.do(options))
    except PermissionError as error:
        raise CommandError(
            f"not permitted: {error}",
            hint="the forwarder needs root, or CAP_NET_ADMIN and CAP_BPF (with Linux 6.1 CAP_PERFMON too)",
        ) from None
    except (
        NodeUnknown,
        InterfaceUnknown,
        ProgramsNotLoaded,
        HostRefuses,
        ForeignProgram,
        NotLoaded,
        NotInstalled,
        OSError,
    ) as error:
        raise CommandError(str(error)) from None


def build_parser() -> argparse.ArgumentParser:
    from balancer.datapath.maps.layout import Budgets

    parser = argparse.ArgumentParser(prog="sennit forwarder", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        ("load", _load, "load, attach and pin the programs, and exit"),
        ("run", _run, "follow the forwarding table until SIGTERM"),
        ("status", _run_status, "print the counters of all reasons and edges"),
        ("capture", _capture, "copy the packets of one reason"),
        ("detach", _detach, "remove the programs and their pins"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do)
        action.add_argument(
            "--state", type=Path, default=Path("/var/lib/sennit"), help="the node's state folder"
        )
        action.add_argument(
            "--bpffs", type=Path, default=Path("/run/sennit/bpf"), help="where maps are pinned"
        )
        if name == "load":
            action.add_argument(
                "--outside",
                required=True,
                action="append",
                metavar="INTERFACE",
                help="interface towards clients; repeatable",
            )
            action.add_argument(
                "--backbone", required=True, metavar="INTERFACE", help="interface towards other edges"
            )
            action.add_argument(
                "--encapsulation",
                choices=["ipip", "gue"],
                help="encapsulation of all tunnels from this edge (default: as the table says for each edge)",
            )
            action.add_argument(
                "--xdp",
                choices=["auto", "native", "off"],
                default="auto",
                help="forward in XDP: where the drivers do it well (auto), always (native), never (off)",
            )
            action.add_argument(
                "--programs",
                choices=["auto", "object", "source"],
                default="auto",
                help="load the object compiled ahead (object), or compile the source by python3-bpfcc (source); "
                "auto: the object if the release has one",
            )
            action.add_argument(
                "--object", type=Path, metavar="FILE", help="the object to load (default: the release's)"
            )
            for field in fields(Budgets):
                action.add_argument(
                    f"--budget-{field.name.replace('_', '-')}",
                    type=int,
                    default=field.default,
                    metavar="N",
                    help=f"per second; 0 disables the limit (default {field.default:,}; see docs/forwarder/tuning.md)",
                )
            action.add_argument(
                "--node-timeout",
                type=float,
                default=60,
                help="maximum seconds to wait for the agent's node.json and for the interfaces",
            )
        if name == "run":
            action.add_argument(
                "--metrics",
                metavar="ADDRESS:PORT",
                help="serve Prometheus metrics at this address, for example 127.0.0.1:9465 (default: none)",
            )
        if name == "capture":
            action.add_argument("reason", metavar="REASON", help="name of a reason as printed by `status`")
            action.add_argument(
                "-o", "--output", type=Path, help="write a pcap file (default: one line per packet)"
            )
            action.add_argument("-c", "--count", type=int, help="stop after N packets")
        if name == "status":
            action.add_argument("--json", action="store_true")
    return parser


def _load(options: argparse.Namespace) -> int:
    from balancer.datapath.load.fast_path import Xdp
    from balancer.datapath.load.load import Interfaces, load
    from balancer.datapath.load.loaded import ProgramForm
    from balancer.datapath.maps.layout import Budgets
    from balancer.model.table import Encapsulation

    here = load(
        options.state,
        options.bpffs,
        Interfaces(tuple(options.outside), options.backbone),
        options.node_timeout,
        Encapsulation(options.encapsulation) if options.encapsulation else None,
        Budgets(**{field.name: getattr(options, f"budget_{field.name}") for field in fields(Budgets)}),
        Xdp(options.xdp),
        ProgramForm(options.programs),
        options.object,
    )
    vip, ends = (
        [text for text in pair if text] for pair in ((here.vip.v4, here.vip.v6), (here.own.v4, here.own.v6))
    )
    print(f"loaded: edge {here.edge_id}, VIP {', '.join(vip)}, tunnel {', '.join(ends)}", file=sys.stderr)
    print(f"tc only: {here.no_xdp}" if here.no_xdp else "XDP and tc", file=sys.stderr)
    print(_describe_form(here.form), file=sys.stderr)
    return 0


def _describe_form(form: str) -> str:
    return "programs: object compiled ahead" if form == "object" else "programs: compiled here from source"


def _run(options: argparse.Namespace) -> int:
    from balancer.datapath.run.metrics import MetricsServer, parse_address
    from balancer.datapath.run.table_follower import TableFollower
    from runtime.logging import log_to_stderr, report_ready
    from runtime.systemd import Watchdog

    log_to_stderr()
    stopped = _stop_on_signal()
    follower = TableFollower(options.state, options.bpffs)
    follower.poll_table()
    if options.metrics:
        try:
            MetricsServer(parse_address(options.metrics), follower.metrics)
        except ValueError as error:
            raise CommandError(f"--metrics: {error}", hint="--metrics 127.0.0.1:9465") from None
    report_ready()
    follower.run(stopped, Watchdog().feed)
    return 0


def _stop_on_signal() -> threading.Event:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _capture(options: argparse.Namespace) -> int:
    from balancer.datapath.run.capture import CaptureRunning, capture, write_header, write_packet
    from balancer.model.verdict import Reason

    try:
        reason = Reason[options.reason.upper()]
    except KeyError:
        names = ", ".join(each.name.lower() for each in Reason)
        raise CommandError(f"unknown reason {options.reason!r}", hint=f"one of {names}") from None
    try:
        packets = capture(options.state, options.bpffs, reason, _stop_on_signal(), options.count)
        if options.output is None:
            for packet in packets:
                print(f"{packet.time:.6f} {packet.length:>5} bytes  {packet.data.hex()}", flush=True)
            return 0
        with options.output.open("wb") as file:
            write_header(file)
            for packet in packets:
                write_packet(file, packet)
    except CaptureRunning as error:
        raise CommandError(str(error)) from None
    return 0


def _run_status(options: argparse.Namespace) -> int:
    from balancer.datapath.load.install import ForwarderInstall
    from balancer.datapath.load.xdp import attached_xdp
    from balancer.datapath.maps.counters import read_counters, read_traffic, read_xdp_counters
    from balancer.model.table import ForwardingTable
    from balancer.model.table_file import load_table
    from balancer.model.verdict import EXPLAINED

    counters = read_counters(options.bpffs)
    try:
        table: ForwardingTable | None = load_table(options.state)
    except (OSError, ValueError):  # without it edges have no names
        table = None
    by_xdp = read_xdp_counters(options.bpffs)
    if options.json:
        print(
            json.dumps(
                {
                    reason.name.lower(): {"packets": p, "bytes": b, "by_xdp": by_xdp[reason][0]}
                    for reason, (p, b) in counters.items()
                }
            )
        )
        return 0
    if attached_xdp(options.bpffs):
        print(f"XDP and tc: {sum(packets for packets, _ in by_xdp.values()):,} packets by XDP")
    else:
        print(f"tc only: {ForwarderInstall.read(options.state).no_xdp or 'the XDP programs were detached'}")
    print(_describe_form(ForwarderInstall.read(options.state).form))
    _print_host(options)
    print(f"{'reason':<22} {'packets':>10} {'bytes':>14}  meaning")
    for reason, (packets, size) in counters.items():
        if packets:
            print(f"{reason.name.lower():<22} {packets:>10,} {size:>14,}  {EXPLAINED[reason]}")
    names = {edge.id: edge.name for edge in table.edges} if table else {}
    for edge_id, seen in read_traffic(options.bpffs, sorted(names)).items():
        if seen.sent_packets or seen.received_packets:
            to, back = (
                f"{packets:,} packets, {size:,} bytes"
                for packets, size in (
                    (seen.sent_packets, seen.sent_bytes),
                    (seen.received_packets, seen.received_bytes),
                )
            )
            print(f"edge {names[edge_id]} (id {edge_id}): sent {to}; received {back}")
    return 0


def _print_host(options: argparse.Namespace) -> None:
    from balancer.datapath.host.reconciler import inspect_host
    from balancer.datapath.load.install import ForwarderInstall
    from balancer.datapath.run.table_follower import read_overhead

    install, overhead = ForwarderInstall.read(options.state), read_overhead(options.bpffs)
    for item in inspect_host(options.bpffs, install, overhead):
        severity = "error" if item.hard else "warning"
        print(f"{item.name:<52} {f'{severity}: {item.deviation}' if item.deviation else 'ok'}")


def _detach(options: argparse.Namespace) -> int:
    from balancer.datapath.load.load import unload

    removed = unload(options.state, options.bpffs)
    print("detached" if removed else "nothing was attached", file=sys.stderr)
    return 0
