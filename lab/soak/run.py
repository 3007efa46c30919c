"""One soak, from the load's start to its verdict."""

import collections
import hashlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab.figures.plot import require_matplotlib
from lab.namespace.bringup import print_progress
from lab.namespace.running import NamespaceLab
from lab.sample import SAMPLE
from lab.scenarios.download import sample_digest
from lab.scenarios.verdict import Verdict
from lab.soak.failures import Failure, all_failures
from lab.soak.growth import SETTLED, MemoryWatch, Series
from lab.soak.picture import draw_picture

WORKERS = 4
BROKEN_FOR = 8.0  # seconds that a failure lasts: longer than what BGP and the agents need to get round it
QUIET_FOR = 6.0  # seconds between two failures
LOOK = 1.0  # seconds between samples
GROWTH_BYTES = 8 << 20
GROWTH_SHARE = 0.10  # of what it held before
GROWTH_DESCRIPTORS = 4


def run_soak(
    lab: NamespaceLab, seconds: float, only: int | None = None, picture: Path | None = None
) -> Verdict:
    """Load the lab for `seconds` while failures, the first `only` of them, come in turn. Raises `LabFailed`.

    `picture` is a PNG to draw of what each daemon held meanwhile.
    """
    if picture is not None:
        require_matplotlib()
    verdict = Verdict("soak", lab.name)
    log = lab.place.folder / "log" / "soak.jsonl"
    watch = MemoryWatch()
    with log.open("w") as output, log.with_suffix(".err").open("w") as errors:
        client = subprocess.Popen(_client_command(lab), stdout=output, stderr=errors)
        try:
            injected = _break_in_turn(lab, seconds, all_failures(lab)[:only], watch, client)
        finally:
            client.terminate()
            client.wait(120)
    verdict.equal("the load's client ended well", client.returncode, 0)
    verdict.note("failures injected", injected)
    _check_requests(verdict, [json.loads(line) for line in log.read_text().splitlines()])
    _check_growth(verdict, list(watch.series.values()))
    if picture is not None:
        draw_picture(watch, picture)
    return verdict


def _client_command(lab: NamespaceLab) -> list[str]:
    resolvers = [f"--resolver={path}={address}" for path, address in lab.topology.resolvers("phone").items()]
    kinds: list[str] = []
    for name, path, digest, weight in _file_kinds(lab):
        kinds += ["--kind", name, path, digest, weight]
    command = (sys.executable, "-m", "lab.soak.client", "--workers", str(WORKERS), *resolvers, *kinds)
    return lab.command("phone", *command)


def _file_kinds(lab: NamespaceLab) -> list[tuple[str, str, str, str]]:
    """(name, path, SHA-256, weight): small and large files."""
    small = lab.place.node("origin") / "small.bin"
    if not small.exists():
        small.write_bytes(os.urandom(1024))
    digest = hashlib.sha256(small.read_bytes()).hexdigest()
    return [
        ("small", f"/{small.name}", digest, "6"),
        ("large", f"/{SAMPLE}", sample_digest(lab), "2"),
    ]


def _break_in_turn(
    lab: NamespaceLab,
    seconds: float,
    every: list[Failure],
    watch: MemoryWatch,
    client: subprocess.Popen[bytes],
) -> int:
    end, injected = time.monotonic() + seconds, 0
    # what ends edge servers comes once: those that follow live long enough to show whether they grow
    lasting = [failure for failure in every if not failure.ends_servers] or every
    for failure in itertools.chain(every, itertools.cycle(lasting)):
        _sample_memory(lab, watch, QUIET_FOR, client)
        if time.monotonic() > end or client.poll() is not None:
            return injected
        print_progress(f"soak: {failure.name} ({max(0, end - time.monotonic()):.0f} s left)")
        try:
            watch.note_failure(failure.name)
            failure.breaks()
            _sample_memory(lab, watch, BROKEN_FOR, client)
        finally:
            failure.mends()
        injected += 1
    return injected


def _sample_memory(
    lab: NamespaceLab, watch: MemoryWatch, seconds: float, client: subprocess.Popen[bytes]
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and client.poll() is None:
        watch.sample(lab.daemons())
        time.sleep(LOOK)


def _check_requests(verdict: Verdict, requests: list[dict[str, Any]]) -> None:
    verdict.note("requests", len(requests))
    verdict.equal("requests lost", sum(not request["ok"] for request in requests), 0)
    wrong = sum("WRONG BYTES" in request["errors"] for request in requests)
    verdict.equal("answers with a wrong byte", wrong, 0)
    verdict.note("requests that were tried again", sum(bool(request["errors"]) for request in requests))
    if requests:
        taken = [request["seconds"] for request in requests]
        verdict.note("median time of a request", statistics.median(taken) * 1000, "ms")
        verdict.note("longest time of a request", max(taken), "s")
    kinds = collections.Counter(
        error.partition(":")[0] for request in requests for error in request["errors"]
    )
    for name, count in kinds.most_common(6):
        verdict.note(f"  tried again after {name}", count)


def _check_growth(verdict: Verdict, every: list[Series]) -> None:
    """The worst of each daemon; a process that lived too short to tell is not judged, and counted."""
    settled = [one for one in every if one.memory_growth() is not None]
    verdict.note(
        f"processes seen for less than {SETTLED} samples, memory not judged", len(every) - len(settled)
    )
    for name in sorted({one.name for one in every}):
        memory = [
            (growth, one)
            for one in settled
            if one.name == name and (growth := one.memory_growth()) is not None
        ]
        if memory:
            worst, one = max(memory, key=lambda each: each[0])
            limit = max(GROWTH_BYTES, GROWTH_SHARE * statistics.median(one.resident)) / 2**20
            verdict.within(f"{name}: memory grew by", worst / 2**20, limit, "MiB")
        descriptors = [
            growth for one in every if one.name == name and (growth := one.descriptor_growth()) is not None
        ]
        if descriptors:
            verdict.within(f"{name}: descriptors grew by", max(descriptors), GROWTH_DESCRIPTORS, "")
