"""How commands reach the control plane: the options they share, and errors a person can act on."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from balancer.api.client import ApiError, ControlClient, Unreachable
from sennit.errors import CommandError, ExitStatus

Result = TypeVar("Result")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --control, --ca, --token-file (or SENNIT_CONTROL_URL, _CA, _TOKEN_FILE) and --json."""
    environment = os.environ.get
    parser.add_argument(
        "--control",
        metavar="URL",
        default=environment("SENNIT_CONTROL_URL"),
        help="the control plane (or SENNIT_CONTROL_URL)",
    )
    parser.add_argument(
        "--ca",
        metavar="FILE",
        default=environment("SENNIT_CONTROL_CA"),
        help="PEM of its authority (or SENNIT_CONTROL_CA)",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        default=environment("SENNIT_CONTROL_TOKEN_FILE"),
        help="the admin's token (or SENNIT_CONTROL_TOKEN_FILE)",
    )
    parser.add_argument("--json", action="store_true", help="the API's JSON instead of a table")


def call(options: argparse.Namespace, request: Callable[[ControlClient], Awaitable[Result]]) -> Result:
    """Run one request, or several, as the options say."""
    for name in ("control", "token_file"):
        if not getattr(options, name):
            flag = name.replace("_", "-")
            raise CommandError(f"--{flag} is missing", hint="`--help` names it", status=ExitStatus.USAGE)
    try:
        token = Path(options.token_file).read_text().strip()
        client = ControlClient(options.control, token, ca=Path(options.ca) if options.ca else None)
    except (OSError, ValueError) as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None

    async def run() -> Result:
        async with client:
            return await request(client)

    try:
        return asyncio.run(run())
    except Unreachable as error:
        raise CommandError(
            f"the control plane does not answer: {error}",
            hint="is `sennit control` running, and does --ca name its authority?",
            status=ExitStatus.UNREACHABLE,
        ) from None
    except ApiError as error:
        hint = "--token-file must hold the admin's token" if error.status in (401, 403) else ""
        raise CommandError(str(error), hint=hint, status=ExitStatus.HTTP) from None


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Lay out rows under their heads in columns."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (heads, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)
