"""The eBPF datapath of one edge: load, run, status, detach."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from sennit.errors import CommandError


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    from balancer.datapath.attach import ForeignProgram
    from balancer.datapath.compile import CompileFailed
    from balancer.datapath.headers import HeadersMissing
    from balancer.datapath.host import HostRefuses
    from balancer.datapath.links import NodeUnknown
    from balancer.datapath.pins import NotLoaded
    from balancer.datapath.placement import NotPlaced

    try:
        return int(options.do(options))
    except PermissionError as error:
        raise CommandError(
            f"not permitted: {error}", hint="the forwarder needs root, or CAP_NET_ADMIN and CAP_BPF"
        ) from None
    except (
        NodeUnknown,
        CompileFailed,
        HeadersMissing,
        HostRefuses,
        ForeignProgram,
        NotLoaded,
        NotPlaced,
        OSError,
    ) as error:
        raise CommandError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit forwarder", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        ("load", _load, "compile, load, attach and pin the programs, and exit"),
        ("run", _run, "follow the forwarding table until SIGTERM"),
        ("status", _status, "print the counters of every reason"),
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
                help="towards clients; may be given several times",
            )
            action.add_argument("--backbone", required=True, metavar="INTERFACE", help="towards other edges")
            action.add_argument(
                "--encapsulation",
                choices=["ipip", "gue"],
                help="of all tunnels from here; without it, as the table says of each edge",
            )
            action.add_argument(
                "--node-timeout", type=float, default=60, help="seconds to wait for the agent"
            )
        if name == "status":
            action.add_argument("--json", action="store_true")
    return parser


def _load(options: argparse.Namespace) -> int:
    from balancer.datapath.load import Interfaces, load
    from balancer.model.table import Encapsulation

    here = load(
        options.state,
        options.bpffs,
        Interfaces(tuple(options.outside), options.backbone),
        options.node_timeout,
        Encapsulation(options.encapsulation) if options.encapsulation else None,
    )
    vip, ends = (
        [text for text in pair if text] for pair in ((here.vip.v4, here.vip.v6), (here.own.v4, here.own.v6))
    )
    print(f"loaded: edge {here.edge_id}, VIP {', '.join(vip)}, tunnel {', '.join(ends)}", file=sys.stderr)
    return 0


def _run(options: argparse.Namespace) -> int:
    from balancer.daemon import log_to_stderr, say_ready
    from balancer.datapath.follow import Follower

    log_to_stderr()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    follower = Follower(options.state, options.bpffs)
    follower.look()
    say_ready()
    follower.run(stopped)
    return 0


def _status(options: argparse.Namespace) -> int:
    from balancer.datapath.counters import read_counters
    from balancer.model.verdict import EXPLAINED

    counters = read_counters(options.bpffs)
    if options.json:
        print(
            json.dumps(
                {reason.name.lower(): {"packets": p, "bytes": b} for reason, (p, b) in counters.items()}
            )
        )
        return 0
    print(f"{'reason':<22} {'packets':>10} {'bytes':>14}  meaning")
    for reason, (packets, size) in counters.items():
        if packets:
            print(f"{reason.name.lower():<22} {packets:>10,} {size:>14,}  {EXPLAINED[reason]}")
    return 0


def _detach(options: argparse.Namespace) -> int:
    from balancer.datapath.load import unload

    removed = unload(options.state, options.bpffs)
    print("detached" if removed else "nothing was attached", file=sys.stderr)
    return 0
