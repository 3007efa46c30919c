"""Probe an edge from a namespace of its own: up, run, down."""

import argparse
import asyncio
import contextlib
import signal
import sys
from ipaddress import ip_address
from pathlib import Path

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        return _run(arguments[1:])
    from balancer.agent.probe.namespace import NamespaceRefused

    options = build_parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except NamespaceRefused as error:
        raise CommandError(str(error), hint="namespaces and veth pairs need root") from None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit probe", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, do, text in (
        (
            "up",
            _create_namespace,
            "make the probe namespace and its veth pair (before `sennit forwarder load`)",
        ),
        ("run", _create_namespace, "probe until SIGTERM, inside the namespace; `sennit probe run --help`"),
        ("down", _remove_namespace, "remove the namespace and the pair"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(do=do)
        action.add_argument("--namespace", default="sennit-probe", help="its name")
        action.add_argument("--state", type=Path, default=Path("/var/lib/sennit"), help="the state folder")
        action.add_argument("--node-timeout", type=float, default=60, help="seconds to wait for the agent")
    from balancer.agent.probe.settings import ProbeSettings

    actions.choices["run"] = (
        ProbeSettings.argument_parser()
    )  # `run` above hands its arguments to the settings
    return parser


def _create_namespace(options: argparse.Namespace) -> int:
    from balancer.agent.probe.namespace import HOST_INTERFACE, ProbeAddresses, create_namespace
    from node.state.identity import NodeUnknown, await_identity

    try:
        node = await_identity(options.state, options.node_timeout)
    except NodeUnknown as error:
        raise CommandError(str(error), hint="is `sennit agent` running?") from None
    versions = tuple(ip_address(address).version for address in node.vip.addresses)
    create_namespace(options.namespace, node.edge_id, versions)
    ends = " ".join(str(ProbeAddresses.of(node.edge_id, version).far.ip) for version in versions)
    print(f"{HOST_INTERFACE} leads to {options.namespace}, {ends}", file=sys.stderr)
    return ExitStatus.OK


def _remove_namespace(options: argparse.Namespace) -> int:
    from balancer.agent.probe.namespace import remove_namespace

    print("removed" if remove_namespace(options.namespace) else "there was none", file=sys.stderr)
    return ExitStatus.OK


def _run(arguments: list[str]) -> int:
    from balancer.agent.probe.prober import Prober
    from balancer.agent.probe.settings import ProbeSettings
    from runtime.logging import log_to_stderr, report_ready
    from runtime.systemd import feed_watchdog

    settings = ProbeSettings.from_arguments(arguments)
    log_to_stderr(settings.log_level)

    async def main() -> None:
        task = asyncio.create_task(
            Prober(settings.state, settings.interface, settings.timeout).run(settings.every)
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        watchdog = asyncio.create_task(feed_watchdog())
        report_ready()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        watchdog.cancel()

    asyncio.run(main())
    return ExitStatus.OK
