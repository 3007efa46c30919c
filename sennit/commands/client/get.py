"""Download URLs smkex://HOST/PATH over two paths.

Data goes to standard output or to files; progress and the path report go to standard error.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import CommandError, ExitStatus
from sennit.outputs import DownloadJob, plan_jobs, standard_output
from sennit.progress import ProgressBar
from sennit.request_options import RequestPlan, add_request_options, plan_request
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from smkex.client.download.download import Fetched
    from smkex.client.http.transport import SmkexTransport

RETRY_PAUSE = 0.1  # seconds
READ_TIMEOUT = 30.0  # seconds without a byte of what was asked for
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


def run(arguments: list[str]) -> int:
    options = build_parser().parse_args(_as_curl_writes(arguments))
    from runtime.heap import keep_freed_memory
    from smkex.transport.event_loop import run_in_reactor  # slow to load

    keep_freed_memory()
    if options.verbose:
        _show_handshake()
    return run_in_reactor(_get_all(options))


def _as_curl_writes(arguments: list[str]) -> list[str]:
    """Take `-C -` as `-C`: where to continue is always found out."""
    return [
        word
        for before, word in zip(["", *arguments], arguments, strict=False)
        if not (word == "-" and before in ("-C", "--continue"))
    ]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit get", description=__doc__)
    parser.add_argument(
        "urls",
        nargs="+",
        metavar="URL",
        help="smkex://HOST[:PORT]/PATH; HOST is the service address or a name",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write to FILE, which appears only when complete; -: standard output",
    )
    parser.add_argument(
        "-O", "--remote-name", action="store_true", help="write to a file named as the URL's last part"
    )
    parser.add_argument("--output-dir", type=Path, metavar="FOLDER", help="put files there (implies -O)")
    parser.add_argument(
        "-C",
        "--continue",
        dest="resume",
        action="store_true",
        help="resume a broken transfer if the file is unchanged (-C - is the same)",
    )
    add_request_options(parser)
    parser.add_argument(
        "--retry-for",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="retry for this time while the edge cannot be reached, and resume broken transfers;"
        " never after a refusal",
    )
    parser.add_argument(
        "--limit-rate", type=_parse_rate, metavar="BYTES", help="bytes a second at most (500k, 2M, 1G)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print each result and path report as JSON on stderr"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no report")
    parser.add_argument("--verbose", action="store_true", help="show the handshake message by message")
    add_session_options(parser)
    return parser


def _parse_rate(text: str) -> float:
    number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1.0)
    try:
        rate = float(number) * unit
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, as 500k or 2M")
    return rate


def _show_handshake() -> None:
    """Print log messages of smkex and sennit only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("smkex", "sennit"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        logger.propagate = False


async def _get_all(options: argparse.Namespace) -> int:
    import httpx

    from smkex.client.http.transport import SmkexTransport

    wanted, request = plan_jobs(options), plan_request(options)
    status: int = ExitStatus.OK
    transport = SmkexTransport(connect_options(options))
    async with httpx.AsyncClient(transport=transport, timeout=READ_TIMEOUT) as client:
        for job in wanted:
            try:
                await _fetch_with_retries(job, request, client, transport, options)
            except CommandError as error:
                error.print_error()
                status = status or error.status
    return status


async def _fetch_with_retries(
    job: DownloadJob,
    request: RequestPlan,
    client: Any,
    transport: "SmkexTransport",
    options: argparse.Namespace,
) -> None:
    from sennit.transfer_errors import EdgeUnreachable, TransferInterrupted, as_command_errors

    deadline, resume = time.monotonic() + options.retry_for, options.resume
    while True:
        try:
            with as_command_errors(job.url):
                return await _fetch_job(job, request, client, transport, options, resume=resume)
        except (TransferInterrupted, EdgeUnreachable) as error:
            late = time.monotonic() + RETRY_PAUSE > deadline
            broken = isinstance(error, TransferInterrupted)
            if late or (broken and not job.resumable) or not request.may_repeat:
                raise
            resume = request.may_resume and (resume or broken)
            logging.getLogger("sennit").info("retrying: %s", error)
            await asyncio.sleep(RETRY_PAUSE)


async def _fetch_job(
    job: DownloadJob,
    request: RequestPlan,
    client: Any,
    transport: "SmkexTransport",
    options: argparse.Namespace,
    *,
    resume: bool,
) -> None:
    from smkex.client.download.download import Download
    from smkex.client.download.partial_file import closing_file, reporting_write_errors

    bar = ProgressBar(job.output.name if job.output else "", sys.stderr)
    on_screen = job.output is None and sys.stdout.isatty()
    shows = sys.stderr.isatty() and not on_screen and not options.quiet and not options.json
    download = Download(
        client,
        job.url,
        request.headers,
        rate=options.limit_rate,
        method=request.method,
        content=request.content,
        follow=request.follow,
    )
    if shows:
        download.progress = bar.update
    started = time.monotonic()
    try:
        if job.output is None:
            fetched = await download.to_stream(standard_output())
        elif job.resumable:
            fetched = await download.to_file(job.output, resume=resume)
        else:
            with reporting_write_errors(job.output):
                file = job.output.open("wb")
            with closing_file(file):
                fetched = await download.to_stream(file)
    except BaseException:
        bar.clear()
        _print_partial(job)
        raise
    bar.clear()
    _print_result(job, fetched, time.monotonic() - started, transport, options)


def _print_partial(job: DownloadJob) -> None:
    from smkex.client.download.partial_file import PartialFile

    if job.output is not None and job.resumable and (kept := PartialFile(job.output, job.url).kept()):
        print(f"kept      {kept.offset:,} bytes: `sennit get -C` resumes from there", file=sys.stderr)


def _print_result(
    job: DownloadJob,
    fetched: "Fetched",
    seconds: float,
    transport: "SmkexTransport",
    options: argparse.Namespace,
) -> None:
    report = transport.connections[-1].report() if transport.connections else None
    if options.json:
        result = {
            "url": job.url,
            "output": str(job.output) if job.output else None,
            "status": fetched.status,
            "start": fetched.start,
            "bytes": fetched.received,
            "seconds": seconds,
            "report": report.as_dict() if report else None,
        }
        print(json.dumps(result), file=sys.stderr)
    elif not options.quiet:
        rate = fetched.received * 8 / seconds / 1e6
        to = f" to {job.output}" if job.output else ""
        after = f", after {fetched.start:,} kept earlier" if fetched.start else ""
        print(
            f"received  {fetched.received:,} bytes{to} in {seconds:.2f} s, {rate:,.0f} Mbit/s{after}",
            file=sys.stderr,
        )
        if report:
            print(report.text(), file=sys.stderr)
