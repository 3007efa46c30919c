"""Print the key that forwarding tables are signed with, as the nodes' /etc/sennit/table.key holds it."""

import argparse
import json

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    from node.state.table_key import encode_key
    from sennit import remote

    options = build_parser().parse_args(arguments)
    print(json.dumps(encode_key(remote.call_control(options, lambda client: client.table_key()))))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit table-key", description=__doc__)
    remote.add_options(parser, changes=False)
    return parser
