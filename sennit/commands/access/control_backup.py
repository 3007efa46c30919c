"""Back up the control plane's state folder while it runs (SQLite), and restore one."""

import argparse
from pathlib import Path

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from balancer.control.storage.backup import BackupError, restore_backup, save_backup

    options = build_parser().parse_args(arguments)
    try:
        if options.action == "save":
            save_backup(options.state, options.file)
        else:
            restore_backup(options.file, options.state)
    except BackupError as error:
        raise CommandError(str(error)) from None
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit control-backup", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for action, words in {
        "save": "write FILE with mode 0600: the database as of now, and the key that signs tables",
        "restore": "create a state folder from FILE; refused where a database exists",
    }.items():
        one = actions.add_parser(action, help=words)
        one.add_argument("file", type=Path, metavar="FILE")
        one.add_argument("--state", type=Path, default=Path("/var/lib/sennit"), help="state folder")
    return parser
