"""An origin slows down, and an operator finds it: by `sennit services top`, `sennit services origins` and the log.

The phone asks for two services all the time. One of the four origins waits two seconds before it answers. What the
operator types, and what it printed, is kept: `tools/record_slow_origin.py` writes a page of it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.errors import LabFailed
from lab.namespace import bringup
from lab.namespace.running import NamespaceLab
from lab.running import Lab
from lab.scenarios.verdict import Verdict
from lab.topology import SERVICE_NAME, SHOP_NAME
from lab.wait import wait_for

SLOW, SERVICE, DELAY = "frail", "shop", 2.0
PAGE = "hello.txt"
SECONDS = 12.0  # of traffic before an operator looks: a step of ten seconds has ended, and the last of before is over
TOP = ("services", "top", "--seconds", "10")
LOG_QUERY = (
    "[inputs | select(.origin_seconds != null and .origin_seconds > 1)]"
    " | group_by(.service, .origin) | map({service: .[0].service, origin: .[0].origin, lines: length,"
    " slowest: (map(.origin_seconds) | max), statuses: (map(.origin_status) | unique)})"
)
LINE_QUERY = (
    "last(inputs | select(.origin_seconds != null and .origin_seconds > 1))"
    " | {service, url, client, origin, origin_seconds, status, request_id}"
)
# four clients at once, each asks both services in turn for what no cache has
_TRAFFIC = f"""
import asyncio, itertools, os, httpx, smkex

async def ask(client, number):
    for turn in itertools.count():
        for host in ("{SERVICE_NAME}", "{SHOP_NAME}"):
            try:
                await client.get(f"smkex://{{host}}/{PAGE}?{{os.getpid()}}-{{number}}-{{turn}}", timeout=10)
            except httpx.HTTPError as error:
                print(error, flush=True)
        await asyncio.sleep(0.05)

async def main():
    options = smkex.ConnectOptions(resolvers={{"cell0": "10.1.0.1", "wifi0": "10.2.0.1"}}, known_hosts=None)
    async with httpx.AsyncClient(transport=smkex.SmkexTransport(options)) as client:
        await asyncio.gather(*(ask(client, number) for number in range(4)))

asyncio.run(main())
"""


@dataclass(slots=True)
class OperatorWalk:
    """What an operator typed, and what it printed; `look` is called while the origin is slow."""

    steps: list[tuple[str, str, str]] = field(default_factory=list)  # title, command, output
    look: Callable[[NamespaceLab], None] = lambda lab: None

    def add(self, title: str, command: str, output: str) -> str:
        self.steps.append((title, command, output.rstrip()))
        return output


def run(lab: Lab, verdict: Verdict) -> None:
    """Raises `LabFailed` where the services do not come up, or the lab is of containers."""
    if not isinstance(lab, NamespaceLab):
        raise LabFailed("this scenario reads edges' files: namespaces only")
    walk_slow_origin(lab, verdict, OperatorWalk())


def walk_slow_origin(lab: NamespaceLab, verdict: Verdict, walk: OperatorWalk) -> None:
    """Slow the origin down, take the operator's steps, and judge what each of them says."""
    (lab.place.node("origin") / PAGE).write_text("hello\n")
    bringup.start_services(lab.place, lab.topology)
    traffic = subprocess.Popen(
        lab.command("phone", sys.executable, "-c", _TRAFFIC), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_for("requests of both services", lambda: {SERVICE, "site"} <= set(_read_top(lab)), 40)
        time.sleep(SECONDS)
        _judge_top(
            verdict, "before", walk.add("before", "sennit services top --seconds 10", lab.operate(*TOP))
        )
        _set_fault(lab, "PUT", json.dumps({"delay": DELAY}))
        time.sleep(2 * SECONDS)
        slow = walk.add("which service", "sennit services top --seconds 10", lab.operate(*TOP))
        _judge_top(verdict, "slow", slow)
        named = walk.add(
            "which origin", f"sennit services origins {SERVICE}", lab.operate("services", "origins", SERVICE)
        )
        first = next((line for line in named.splitlines() if SLOW in line), "")
        verdict.equal(
            "`services origins` names the slow origin first", _is_first(named, SLOW) and bool(first), True
        )
        _judge_log(lab, verdict, walk)
        walk.look(lab)
    finally:
        _set_fault(lab, "DELETE", "")
        traffic.kill()
        traffic.communicate()


def _read_top(lab: NamespaceLab) -> dict[str, list[str]]:
    rows = [line.split() for line in lab.operate(*TOP).splitlines()[1:]]
    return {row[0]: row for row in rows if row}


def _judge_top(verdict: Verdict, when: str, text: str) -> None:
    """The last column but its unit is P99: the bound of a bucket."""
    last = {line.split()[0]: line.split()[-2:] for line in text.splitlines()[1:] if line.strip()}
    for service in ("site", SERVICE):
        value, unit = last.get(service, ["none", ""])
        seconds = (
            float(value.lstrip(">")) / (1000 if unit == "ms" else 1) if value not in ("-", "none") else 0.0
        )
        if service == SERVICE and when == "slow":
            verdict.at_least(f"{when}: P99 of origins in `services top`, {service}", seconds, DELAY, "s")
        else:
            verdict.within(f"{when}: P99 of origins in `services top`, {service}", seconds, 1.0, "s")


def _is_first(text: str, name: str) -> bool:
    rows = [line for line in text.splitlines()[1:] if line.strip()]
    return bool(rows) and name in rows[0]


def _judge_log(lab: NamespaceLab, verdict: Verdict, walk: OperatorWalk) -> None:
    """Ask the log of the edge that the phone's sessions belong to."""
    logs = {edge.name: lab.place.node(edge.name) / "access.log" for edge in lab.topology.edges()}
    name, path = max(logs.items(), key=lambda each: each[1].stat().st_size if each[1].exists() else 0)
    done = subprocess.run(
        ["jq", "-cn", f"{LOG_QUERY} | .[]", path], capture_output=True, text=True, check=True
    )
    shown = f"jq -cn '{LOG_QUERY} | .[]' /var/log/sennit/access.log"
    walk.add(f"which requests, on {name}", shown, done.stdout)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    port = next(o.port for s in lab.topology.services for o in s.origins if o.name == SLOW)
    origin = f"http://{lab.topology.backbone_address('origin')}:{port}"
    verdict.equal("origins above a second in the log", ", ".join(each["origin"] for each in found), origin)
    one = subprocess.run(["jq", "-cn", LINE_QUERY, path], capture_output=True, text=True, check=True)
    walk.add("one of them", f"jq -cn '{LINE_QUERY}' /var/log/sennit/access.log", one.stdout)


def _set_fault(lab: NamespaceLab, method: str, body: str) -> None:
    port = next(o.port for s in lab.topology.services for o in s.origins if o.name == SLOW)
    url = f"http://{lab.topology.backbone_address('origin')}:{port}/.sennit/faults"
    command = ["curl", "-fsS", "-X", method, url, *(["-d", body] if body else [])]
    done = subprocess.run(lab.command("origin", *command), capture_output=True, text=True)
    if done.returncode:
        raise LabFailed(f"the origin's fault could not be set: {done.stderr}")
