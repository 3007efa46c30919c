"""Show what a node's forwarder would do with a packet, and why."""

import argparse
import json
import sys
from pathlib import Path

from runtime.errors import CommandError


def run(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    from balancer.model.reference.trace import PacketEndpoint, Untraceable, next_hop, node_forwarder, trace
    from balancer.model.verdict import EXPLAINED

    try:
        forwarder = node_forwarder(options.state)
        source, destination = PacketEndpoint.parse(options.source), PacketEndpoint.parse(options.destination)
    except Untraceable as error:
        raise CommandError(
            str(error),
            hint="--state is the state folder of a node; its agent writes node.json and table.json",
        ) from None
    outcome = trace(forwarder, source, destination, opens=not options.established)
    reason, owner = outcome.reason.name.lower(), next_hop(outcome, forwarder)
    to = f"{owner.name} (id {owner.id}, {owner.state}) at {owner.tunnel_v4}" if owner else None
    generation = forwarder.table.generation
    if options.json:
        json.dump(
            {"reason": reason, "to": to, "edge_id": forwarder.own_id, "generation": generation}, sys.stdout
        )
        print()
        return 0
    print(f"{reason}: {EXPLAINED[outcome.reason]}")
    if to:
        print(f"to {to}")
    print(f"at edge {forwarder.own_id}, generation {generation}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit trace", description=__doc__)
    parser.add_argument("source", metavar="SOURCE:PORT")
    parser.add_argument("destination", metavar="DESTINATION:PORT")
    parser.add_argument("--state", type=Path, default=Path("/var/lib/sennit"), help="the node's state folder")
    parser.add_argument(
        "--established", action="store_true", help="a later packet of a connection instead of a SYN"
    )
    parser.add_argument("--json", action="store_true")
    return parser
