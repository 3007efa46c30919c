"""Requests of commands to the control plane: shared options, errors with hints."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from balancer.api.client import ApiError, Unreachable, UntrustedServer
from balancer.api.services_client import ServicesClient
from runtime.errors import CommandError, ExitStatus

Result = TypeVar("Result")


def add_options(parser: argparse.ArgumentParser, *, changes: bool = False) -> None:
    """Add --control, --ca, --token-file (or SENNIT_CONTROL_URL, _CA, _TOKEN_FILE), --json, for changes --reason."""
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
        help="your token (or SENNIT_CONTROL_TOKEN_FILE)",
    )
    if changes:
        parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the audit log")
    parser.add_argument("--json", action="store_true", help="the API's JSON instead of a table")


def call_control(
    options: argparse.Namespace, request: Callable[[ServicesClient], Awaitable[Result]]
) -> Result:
    """Run one or more requests with the options' URL, authority and token."""
    for name in ("control", "token_file"):
        if not getattr(options, name):
            flag = name.replace("_", "-")
            raise CommandError(f"--{flag} is missing", hint="`--help` names it", status=ExitStatus.USAGE)
    try:
        token = Path(options.token_file).read_text().strip()
        ca, reason = Path(options.ca) if options.ca else None, getattr(options, "reason", "")
        client = ServicesClient(options.control, token, ca=ca, reason=reason)
    except (OSError, ValueError) as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None

    async def run() -> Result:
        async with client:
            return await request(client)

    try:
        return asyncio.run(run())
    except UntrustedServer as error:
        raise CommandError(error.refused, hint=error.remedy, status=ExitStatus.UNREACHABLE) from None
    except Unreachable as error:
        raise CommandError(
            f"the control plane does not answer: {error}",
            hint="is `sennit control` running, and does --ca name its authority?",
            status=ExitStatus.UNREACHABLE,
        ) from None
    except ApiError as error:
        hint = {401: "--token-file must hold your token", 403: "`sennit token whoami` shows your role"}.get(
            error.status, ""
        )
        faults = [f"  {each.field}: {each.message}" for each in error.errors]
        text = "\n".join((f"{len(faults)} faults", *faults)) if len(faults) > 1 else str(error)
        raise CommandError(text, hint=hint, status=ExitStatus.HTTP) from None


def format_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Format rows in columns under their heads."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (heads, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def write_token(path: Path, token: str) -> None:
    """Write a token into a file that only its owner may read. Raises `CommandError`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            file.write(f"{token}\n")
    except OSError as error:
        raise CommandError(str(error)) from None
