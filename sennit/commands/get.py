"""Download a URL smkex://HOST/PATH over two paths.

The file goes to standard output or to -o FILE; progress and the path report go to standard error.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from sennit.errors import CommandError, ExitStatus
from sennit.session_options import add_session_options, connect_options

PROGRESS_EVERY = 0.2  # seconds
RETRY_PAUSE = 0.1  # seconds


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.verbose:
        _show_handshake()
    return asyncio.run(_until_reached(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit get", description=__doc__)
    parser.add_argument("url", help="smkex://HOST[:PORT]/PATH; HOST is the service address or a name")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write to FILE, which appears only when complete"
    )
    parser.add_argument(
        "--retry-for",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="try again so long while the edge cannot be reached; never after a refusal or once data has come",
    )
    parser.add_argument("--limit-rate", type=float, metavar="BYTES", help="bytes a second at most")
    parser.add_argument(
        "--json", action="store_true", help="print the result and path report as JSON on stderr"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no report")
    parser.add_argument("--verbose", action="store_true", help="show the handshake message by message")
    add_session_options(parser)
    return parser


def _show_handshake() -> None:
    """Print what the library and this command log, and nothing of what other libraries do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("smkex", "sennit"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        logger.propagate = False


async def _until_reached(options: argparse.Namespace) -> int:
    deadline = time.monotonic() + options.retry_for
    while True:
        try:
            return await _get(options)
        except Unreached as error:
            if time.monotonic() + RETRY_PAUSE > deadline:
                raise
            logging.getLogger("sennit").info("again: %s", error)
            await asyncio.sleep(RETRY_PAUSE)


class Unreached(CommandError):
    """The edge could not be reached; nothing of the file has come, and nothing speaks of an attack."""


async def _get(options: argparse.Namespace) -> int:
    import httpx

    from smkex.client import explain
    from smkex.client.http import SmkexTransport
    from smkex.client.known_hosts import KnownHostsDamaged
    from smkex.core.errors import DeadlineMissed, OnePathOnly, Overloaded, PeerAborted, SmkexError

    transport = SmkexTransport(**connect_options(options))
    try:
        async with httpx.AsyncClient(transport=transport, timeout=30) as client:
            return await _download(client, transport, options)
    except KnownHostsDamaged as error:
        raise CommandError(str(error), hint="mend the line, or remove it") from None
    except SmkexError as error:
        away = isinstance(error, DeadlineMissed | OnePathOnly | Overloaded | PeerAborted)
        kind = Unreached if away else CommandError
        text = f"{type(error).__name__}: {error}"
        raise kind(text, hint=explain.hint(error), status=ExitStatus.REFUSED) from None
    except httpx.TransportError as error:
        cause = error.__cause__.__cause__ if error.__cause__ else None
        status = ExitStatus.REFUSED if isinstance(cause, SmkexError) else ExitStatus.UNREACHABLE
        raise CommandError(f"{options.url}: {error}", status=status) from None
    except OSError as error:
        raise Unreached(
            f"{options.url}: {error.strerror or error}",
            hint="is the address right, and is there a route by the first path?",
            status=ExitStatus.UNREACHABLE,
        ) from None


async def _download(client: Any, transport: Any, options: argparse.Namespace) -> int:
    started = time.monotonic()
    async with client.stream("GET", options.url) as response:
        if response.status_code >= 400:
            raise CommandError(
                f"{options.url}: {response.status_code} {response.reason_phrase}", status=ExitStatus.HTTP
            )
        size = await _save(response, options)
        report = transport.connections[-1].report()
    seconds = time.monotonic() - started
    if options.json:
        print(json.dumps({"bytes": size, "seconds": seconds, "report": report.as_dict()}), file=sys.stderr)
    elif not options.quiet:
        rate = size * 8 / seconds / 1e6
        print(f"received  {size:,} bytes in {seconds:.2f} s, {rate:,.0f} Mbit/s", file=sys.stderr)
        print(report.text(), file=sys.stderr)
    return ExitStatus.OK


async def _save(response: Any, options: argparse.Namespace) -> int:
    if options.output is None:
        return await _copy(response, sys.stdout.buffer, options)
    target = Path(options.output)
    if target.exists() and not target.is_file():
        # a device or pipe is written to, never replaced
        with open(target, "wb") as file:
            return await _copy(response, file, options)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            size = await _copy(response, file, options)
        os.replace(part, target)
    except OSError as error:
        if error.filename is None:
            raise
        raise CommandError(f"cannot write {error.filename}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return size


async def _copy(response: Any, file: BinaryIO, options: argparse.Namespace) -> int:
    total = int(response.headers.get("content-length", 0))
    show = sys.stderr.isatty() and not options.quiet and not options.json
    size, shown, started = 0, 0.0, time.monotonic()
    async for part in response.aiter_raw(1 << 18):
        file.write(part)
        size += len(part)
        if options.limit_rate:
            # what is not read fills the session's window, and the edge waits
            await asyncio.sleep(max(0.0, started + size / options.limit_rate - time.monotonic()))
        if show and time.monotonic() - shown > PROGRESS_EVERY:
            shown = time.monotonic()
            of = f" of {total / 1e6:.1f} MB, {100 * size // total} %" if total else ""
            print(f"\r{size / 1e6:.1f} MB{of}   ", end="", file=sys.stderr, flush=True)
    if show:
        print("\r\x1b[K", end="", file=sys.stderr)
    file.flush()
    return size
