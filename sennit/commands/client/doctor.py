"""Check this host, as a client's or an edge's, and say for each thing that is wrong what to do.

The exit status is 1 if there is an error; warnings leave it at 0.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ExitStatus
from sennit.session_options import add_session_options, connect_options

if TYPE_CHECKING:
    from sennit.doctor.check_result import CheckResult, Report


def run(arguments: list[str]) -> int:
    from sennit.doctor.check_result import Severity

    options = build_parser().parse_args(arguments)
    findings: list[CheckResult] = []

    def report(finding: "CheckResult") -> None:
        findings.append(finding)
        if not options.json:
            print(f"{finding.severity.value:<8} {finding.check}: {finding.found}", flush=True)
            if finding.remedy:
                print(f"         {finding.remedy}", flush=True)

    asyncio.run(_check_all(report, options))
    if options.json:
        print(json.dumps([finding.to_json() for finding in findings]))
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in findings)
    print(f"{len(findings)} checks: {errors} errors, {warnings} warnings", file=sys.stderr)
    return ExitStatus.FAILURE if errors else ExitStatus.OK


async def _check_all(report: "Report", options: argparse.Namespace) -> None:
    from sennit.doctor.host_checks import OPEN_FILES, check_host

    if options.edge:
        from sennit.doctor import edge_checks

        check_host(report, open_files=OPEN_FILES)
        await edge_checks.check_edge(report, options.state, options.bpffs, options.bird_socket)
        return
    from sennit.doctor.client_checks import check_client

    check_host(report)
    await check_client(report, options.host, options.port, connect_options(options))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit doctor", description=__doc__)
    parser.add_argument(
        "host", nargs="?", metavar="HOST", help="name or address of the CDN: check the way to it, too"
    )
    parser.add_argument("--port", type=int, default=443, help="service port (443)")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    edge = parser.add_argument_group("edges")
    edge.add_argument("--edge", action="store_true", help="check this host as an edge's, not as a client's")
    edge.add_argument(
        "--state",
        type=Path,
        default=Path("/var/lib/sennit"),
        metavar="DIR",
        help="state directory of the node",
    )
    edge.add_argument(
        "--bpffs", type=Path, default=Path("/run/sennit/bpf"), metavar="DIR", help="where maps are pinned"
    )
    edge.add_argument(
        "--bird-socket",
        type=Path,
        default=Path("/run/bird/bird.ctl"),
        metavar="FILE",
        help="BIRD's control socket",
    )
    add_session_options(parser)
    return parser
