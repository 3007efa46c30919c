"""The network lab, in namespaces (root); `run --compose` does its scenarios in that of `docker compose up`."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from lab.running import Lab


def run(arguments: list[str]) -> int:
    from lab.errors import LabFailed

    options = build_parser().parse_args(arguments)
    if options.needs_root and not getattr(options, "compose", False) and os.geteuid() != 0:
        raise CommandError("the lab needs root", hint="it makes network namespaces: use sudo")
    try:
        return int(options.do(options))
    except LabFailed as error:
        raise CommandError(str(error), hint=options.hint) from None


def build_parser() -> argparse.ArgumentParser:
    from lab.scenarios import SCENARIOS

    parser = argparse.ArgumentParser(prog="sennit lab", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        ("up", _run_up, "bring the namespace lab up; does nothing when it is"),
        ("services", _run_services, "add two services with two origins each"),
        ("run", _run, "run a scenario, which ends in a verdict with numbers"),
        ("link", _run_link, "give a link of the lab delay and rate, or list them all"),
        ("figures", _run_figures, "measure and draw the papers' figures"),
        ("attack", _run_attack, "put attackers on the paths and print the table of what comes of each"),
        ("soak", _run_soak, "mixed load with failures in turn: nothing lost, nothing grows"),
        ("status", _run_status, "show nodes, processes, and where the VIP is routed"),
        ("exec", _run_exec, "run a command on a node"),
        ("down", _run_down, "remove every trace, also after a crash"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do, needs_root=True, hint="`sennit lab down` clears up")
        if name == "exec":
            action.add_argument("node")
            action.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...")
        if name == "attack":
            action.add_argument("--json", action="store_true", help="the results as JSON")
        if name == "run":
            action.add_argument("scenario", choices=(*SCENARIOS, "all"))
            action.add_argument("--compose", action="store_true", help="in the compose lab")
            action.add_argument("--json", action="store_true", help="verdicts as JSON")
        if name == "soak":
            action.add_argument("--minutes", type=float, default=30.0)
            action.add_argument("--failures", type=int, help="only the first so many kinds")
            action.add_argument(
                "--picture", type=Path, metavar="FILE", help="a PNG of memory and descriptors"
            )
            action.add_argument("--json", action="store_true", help="the verdict as JSON")
        if name == "figures":
            _figures_options(action)
        if name == "link":
            _link_options(action)
    container = actions.add_parser("container", help="what the containers of docker-compose.yml run")
    container.set_defaults(do=_run_container, needs_root=False, hint="compare docker-compose.yml")
    container.add_argument(
        "part", choices=("host", "probe", "bird", "resolver", "secrets", "enrol", "services")
    )
    container.add_argument("node", nargs="?", default="")
    return parser


def _run_up(options: argparse.Namespace) -> int:
    from lab.namespace.bringup import bring_up
    from lab.namespace.place import LabFolder
    from lab.topology import LAB

    bring_up(LabFolder.from_environment(), LAB)
    return 0


def _run_services(options: argparse.Namespace) -> int:
    from lab.namespace.bringup import start_services
    from lab.namespace.place import LabFolder
    from lab.topology import LAB, SHOP_NAME

    start_services(LabFolder.from_environment(), LAB)
    print(f"published; try: sennit lab exec phone -- sennit get smkex://{SHOP_NAME}/sample.bin -o /dev/null")
    return 0


def _selected_lab(options: argparse.Namespace) -> "Lab":
    from lab.topology import LAB

    if options.compose:
        from lab.compose.running import ComposeLab

        return ComposeLab(LAB)
    from lab.namespace.place import LabFolder
    from lab.namespace.running import NamespaceLab

    return NamespaceLab(LabFolder.from_environment(), LAB)


def _link_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("link", nargs="?", help="such as phone-ispa")
    action.add_argument("--delay", default="0ms", help="one way, so that 2.5ms makes a round trip of 5 ms")
    action.add_argument("--rate", help="in each direction, such as 50Mbit")
    action.add_argument("--queue", type=int, default=0, help="bytes that may wait (0.1 s of the rate)")
    action.add_argument("--clear", action="store_true", help="make it a plain cable again")
    action.add_argument(
        "--compose", action="store_true", help="in the compose lab, where the kernel has netem"
    )


def _run_link(options: argparse.Namespace) -> int:
    from lab.emulation.impairment import Impairment, parse_bits, parse_seconds
    from lab.topology import LAB

    if options.link is None:
        for link in LAB.links:
            print(link.name)
        return ExitStatus.OK
    link = LAB.link(options.link)
    lab = _selected_lab(options)
    if options.clear:
        lab.clear_link(link)
        return ExitStatus.OK
    try:
        rate = parse_bits(options.rate) if options.rate else None
        impairment = Impairment(parse_seconds(options.delay), rate, options.queue)
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    print(f"{link.name}: {impairment}: {lab.set_link(link, impairment)}")
    return ExitStatus.OK


def _figures_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("--only", default="13,14,8,9", help="numbers in the papers (13,14,8,9)")
    action.add_argument("-o", "--output", type=Path, default=Path("figures"), help="a folder (figures)")
    action.add_argument("--quick", action="store_true", help="few samples, to see that it works")
    action.add_argument(
        "--size", type=int, action="append", help="bytes of a transfer of figure 9; may repeat"
    )
    action.add_argument("--redraw", action="store_true", help="draw and judge again what was measured")


def _run_figures(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from lab.figures.effort import QUICK, SampleCounts
    from lab.figures.plot import require_matplotlib
    from lab.figures.run import FIGURES, draw_figures, measure, write_numbers
    from lab.namespace.place import LabFolder
    from lab.namespace.running import NamespaceLab
    from lab.topology import LAB

    require_matplotlib()
    numbers = options.only.split(",")
    if unknown := [number for number in numbers if number not in FIGURES]:
        raise CommandError(
            f"no figure {unknown[0]}", hint=f"there are {', '.join(FIGURES)}", status=ExitStatus.USAGE
        )
    effort = QUICK if options.quick else SampleCounts()
    if options.size:
        effort = replace(effort, injection_sizes=tuple(options.size))
    if not options.redraw:
        measure(NamespaceLab(LabFolder.from_environment(), LAB), numbers, effort, options.output)
    verdicts = draw_figures(numbers, options.output)
    write_numbers(options.output)
    for verdict in verdicts:
        print(verdict.text())
    return ExitStatus.OK if all(verdict.ok for verdict in verdicts) else ExitStatus.FAILURE


def _run(options: argparse.Namespace) -> int:
    from lab.scenarios import run_scenario, scenarios_of
    from lab.scenarios.verdict import format_summary

    lab = _selected_lab(options)
    verdicts, took = [], []
    for name in scenarios_of(lab) if options.scenario == "all" else (options.scenario,):
        print(f"lab: {name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        verdicts.append(run_scenario(lab, name))
        took.append(time.monotonic() - started)
        if not options.json:
            print(verdicts[-1].text(), flush=True)
            if not options.compose and options.scenario == "first-download":
                _print_hints()
    if options.scenario == "all" and not options.json:
        print(format_summary(verdicts, took))
    if options.json:
        print(json.dumps([verdict.as_dict() for verdict in verdicts], indent=2))
    return ExitStatus.OK if all(verdict.ok for verdict in verdicts) else ExitStatus.FAILURE


def _run_attack(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from lab.attack.every import run_attacks
    from lab.attack.report import format_tables
    from lab.namespace.place import LabFolder
    from lab.namespace.running import NamespaceLab
    from lab.topology import LAB

    results = run_attacks(NamespaceLab(LabFolder.from_environment(), LAB))
    print(
        json.dumps([asdict(result) for result in results], indent=2)
        if options.json
        else format_tables(results)
    )
    return ExitStatus.OK if all(result.ok for result in results) else ExitStatus.FAILURE


def _run_soak(options: argparse.Namespace) -> int:
    from lab.namespace.place import LabFolder
    from lab.namespace.running import NamespaceLab
    from lab.soak.run import run_soak
    from lab.topology import LAB

    lab = NamespaceLab(LabFolder.from_environment(), LAB)
    verdict = run_soak(lab, options.minutes * 60, options.failures, options.picture)
    print(json.dumps(verdict.as_dict(), indent=2) if options.json else verdict.text())
    return ExitStatus.OK if verdict.ok else ExitStatus.FAILURE


def _print_hints() -> None:
    from lab.namespace.bringup import print_progress
    from lab.namespace.hints import suggested_commands
    from lab.namespace.place import LabFolder

    print_progress("it stays up. Try:")
    for command in suggested_commands(LabFolder.from_environment()):
        print(f"  {command}", file=sys.stderr)


def _run_status(options: argparse.Namespace) -> int:
    from lab.namespace.bringup import is_up, next_hop
    from lab.namespace.place import LabFolder
    from lab.topology import LAB

    place = LabFolder.from_environment()
    if not is_up(place):
        print("the lab is down", file=sys.stderr)
        return ExitStatus.FAILURE
    print(f"{'node':<10} {'addresses':<60} processes")
    for node in LAB.nodes:
        addresses = " ".join(f"{end.interface}={end.address.ip}" for end in LAB.interfaces(node.name))
        done = subprocess.run(
            ["ip", "netns", "pids", place.namespace(node.name)], capture_output=True, text=True
        )
        print(
            f"{node.name:<10} {addresses:<60} {' '.join(_program_name(pid) for pid in done.stdout.split())}"
        )
    for carrier in LAB.carriers():
        print(f"{carrier.name} routes the VIP to {next_hop(place, carrier.name)}")
    return 0


def _program_name(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    if "-m" in words:
        return words[words.index("-m") + 1]
    at = next((n for n, word in enumerate(words) if word.endswith("/sennit")), None)
    return words[at + 1] if at is not None else words[0].rsplit("/", 1)[-1]


def _run_exec(options: argparse.Namespace) -> int:
    from lab.namespace.place import LabFolder
    from lab.namespace.running import NamespaceLab
    from lab.topology import LAB

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.node not in {node.name for node in LAB.nodes} or not command:
        names = ", ".join(node.name for node in LAB.nodes)
        raise CommandError(
            "usage: sennit lab exec NODE -- COMMAND", hint=f"nodes: {names}", status=ExitStatus.USAGE
        )
    lab = NamespaceLab(LabFolder.from_environment(), LAB)
    return subprocess.run(lab.command(options.node, *command)).returncode


def _run_down(options: argparse.Namespace) -> int:
    from lab.namespace.bringup import print_progress, tear_down
    from lab.namespace.place import LabFolder

    print_progress("down" if tear_down(LabFolder.from_environment()) else "was not up")
    return 0


def _run_container(options: argparse.Namespace) -> int:
    """Do one part of a container's work; `bird`, `probe` and `resolver` become that daemon."""
    from lab import bird, resolver
    from lab.compose import host, seed
    from lab.topology import LAB

    control, origin, edges = Path("/var/lib/sennit"), Path("/srv/origin"), Path("/edges")
    if options.part == "host":
        host.configure_namespace(LAB, options.node)
        _replace_process("sleep", "infinity")
    if options.part == "probe":
        host.configure_probe_namespace(LAB, options.node)
        _replace_process("sennit", "probe", "run")
    if options.part == "bird":
        configuration = Path("/run/bird/bird.conf")
        bird.reset(control)
        configuration.write_text(bird.bird_configuration(LAB, LAB.node(options.node), control))
        _replace_process("bird", "-f", "-c", str(configuration), "-s", str(control / "bird.ctl"))
    if options.part == "resolver":
        _replace_process(*resolver.resolver_command(LAB, options.node))
    if options.part == "secrets":
        seed.make_secrets(LAB, control, origin, Path("/srv/origin-tls"))
    if options.part == "enrol":
        seed.enrol_edges(LAB, control, edges)
    if options.part == "services":
        seed.add_services(LAB, control)
    return ExitStatus.OK


def _replace_process(*command: str) -> None:
    os.execvp(command[0], command)  # noqa: S606
