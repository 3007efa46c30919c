"""The network lab in namespaces: up, demo, status, exec, down (root)."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from sennit.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from lab.daemons import LabFailed
    from lab.namespaces import NetworkFailed

    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        raise CommandError("the lab needs root", hint="it makes network namespaces: use sudo")
    try:
        return int(options.do(options))
    except (LabFailed, NetworkFailed) as error:
        raise CommandError(str(error), hint="`sennit lab down` clears up") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit lab", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        ("up", _up, "bring the lab up; does nothing when it is"),
        ("demo", _demo, "download a file over both transports and check it"),
        ("status", _status, "show nodes, processes, and where the VIP is routed"),
        ("exec", _exec, "run a command on a node"),
        ("down", _down, "remove every trace, also after a crash"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do)
        if name == "exec":
            action.add_argument("node")
            action.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...")
    return parser


def _up(options: argparse.Namespace) -> int:
    from lab.bringup import up
    from lab.place import Place
    from lab.topology import LAB

    up(Place.from_environment(), LAB)
    return 0


def _demo(options: argparse.Namespace) -> int:
    from lab.demo import demo
    from lab.place import Place

    demo(Place.from_environment())
    return 0


def _status(options: argparse.Namespace) -> int:
    from lab.bringup import is_up, next_hop
    from lab.place import Place
    from lab.topology import LAB

    place = Place.from_environment()
    if not is_up(place):
        print("the lab is down", file=sys.stderr)
        return ExitStatus.FAILURE
    print(f"{'node':<10} {'addresses':<44} processes")
    for node in LAB.nodes:
        ends = [own for own, _, _ in LAB.ends(node.name)] + [e for e in LAB.backbone if e.node == node.name]
        addresses = " ".join(f"{end.interface}={end.address.ip}" for end in ends)
        done = subprocess.run(
            ["ip", "netns", "pids", place.namespace(node.name)], capture_output=True, text=True
        )
        print(f"{node.name:<10} {addresses:<44} {' '.join(_name(pid) for pid in done.stdout.split())}")
    for router in LAB.routers():
        if router.edge_id is None:
            print(f"{router.name} routes the VIP to {next_hop(place, router.name)}")
    return 0


def _name(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    if "-m" in words:
        return words[words.index("-m") + 1]
    at = next((n for n, word in enumerate(words) if word.endswith("/sennit")), None)
    return words[at + 1] if at is not None else words[0].rsplit("/", 1)[-1]


def _exec(options: argparse.Namespace) -> int:
    from lab.daemons import sennit
    from lab.place import Place
    from lab.topology import LAB

    place = Place.from_environment()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.node not in {node.name for node in LAB.nodes} or not command:
        names = ", ".join(node.name for node in LAB.nodes)
        raise CommandError(
            "usage: sennit lab exec NODE -- COMMAND", hint=f"nodes: {names}", status=ExitStatus.USAGE
        )
    if not place.namespace_file(options.node).exists():
        raise CommandError("the lab is down", hint="`sennit lab up`")
    if command[0] == "sennit":
        command[0] = sennit()
    return subprocess.run([*place.enter(options.node), *command]).returncode


def _down(options: argparse.Namespace) -> int:
    from lab.bringup import down, say
    from lab.place import Place

    say("down" if down(Place.from_environment()) else "was not up")
    return 0
