"""The commands of the walkthrough, as they stand there, in their order, in the compose lab."""

import json
import re
import time

import pytest
from compose_lab import Shell
from page_commands import page_commands

pytestmark = [pytest.mark.needs("docker"), pytest.mark.timeout(600)]  # the image is built first

WALKTHROUGH = page_commands("docs/walkthrough.md", until="## In network namespaces")


def test_the_walkthrough(compose: Shell) -> None:
    """The shell lives on from command to command, as a user's does; `up` is done, `down` comes last."""
    assert WALKTHROUGH[0] == "docker compose up -d --wait"
    assert WALKTHROUGH[-1] == "docker compose down -v"
    before = ""
    outputs: dict[str, str] = {}
    for command in WALKTHROUGH[1:-1]:
        if re.match(r"\w+=", command):
            before += command + "\n"
            continue
        done = compose(before + command)
        outputs.setdefault(command, done.stdout + done.stderr)
    shown = {key: text for key, text in outputs.items() if key.startswith("$API")}

    download = next(text for command, text in outputs.items() if "sennit get" in command)
    assert "path 0 <- ServerShare" in download
    assert "path 1 <- ServerNonce" in download
    assert re.search(r"owner edge 1,", download)
    assert re.search(r"path 0 +cell0 .*enters at edge 1 ", download)
    assert re.search(r"path 1 +wifi0 .*enters at edge 2 ", download)
    assert "downgrades none" in download

    edges = outputs["docker compose exec control sennit edges list"].splitlines()
    assert [line.split()[1:2] + line.split()[6:9] for line in edges if line[:1].isdigit()] == [
        [name, "active", "up", "up"] for name in ("edge1", "edge2", "edge3")
    ]
    traced = json.loads(next(text for command, text in shown.items() if "/v1/trace" in command))
    assert (traced["reason"], traced["to"]["name"]) == ("forwarded", "edge1")
    drained = json.loads(next(text for command, text in shown.items() if "draining" in command))
    assert drained["admin_state"] == "draining"
    watched = json.loads(next(text for command, text in shown.items() if "wait=" in command))
    assert {edge["name"]: edge["state"] for edge in watched["edges"]}["edge1"] == "draining"


def test_after_the_walk_all_is_as_before(compose: Shell) -> None:
    deadline = time.monotonic() + 120
    while "via 10.11.0.2" not in compose("docker compose exec -T ispa ip route show 203.0.113.1").stdout:
        assert time.monotonic() < deadline, "edge1 is not announced again"
        time.sleep(0.2)


def test_without_the_mptcp_file_mptcp_says_what_is_missing_and_tcp_runs(compose: Shell) -> None:
    refused = compose(
        "docker compose exec -T phone sennit get smkex://cdn.lab/sample.bin --transport mptcp -o /dev/null",
        check=False,
    )
    assert refused.returncode == 3
    assert "CAP_NET_ADMIN" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_way_around_the_network_does_not_exist(compose: Shell) -> None:
    """The phone's two interfaces are all it has, and the host has no address on the lab's cables."""
    shown = json.loads(compose("docker compose exec -T phone ip -j address").stdout)
    assert sorted(link["ifname"] for link in shown) == ["cell0", "lo", "wifi0"]
    routes = json.loads(compose("docker compose exec -T phone ip -j route show default").stdout)
    assert [(route["dev"], route["gateway"]) for route in routes] == [
        ("cell0", "10.1.0.1"),
        ("wifi0", "10.2.0.1"),
    ]
    assert " 10.1.0.254" not in compose("ip -o -4 address").stdout


def test_capabilities_are_as_declared_in_the_running_processes(compose: Shell) -> None:
    """CapBnd of every container: NET_ADMIN is bit 12, PERFMON 38, BPF 39; nothing else, and no new privileges."""
    net_admin, forwarder = 1 << 12, 1 << 12 | 1 << 38 | 1 << 39
    services = compose("docker compose ps --services").stdout.split()
    assert len(services) > 20
    for service in services:
        status = compose(f"docker compose exec -T {service} cat /proc/1/status").stdout
        bounding = int(re.search(r"CapBnd:\s+(\w+)", status)[1], 16)  # type: ignore[index]
        allowed = forwarder if service.endswith("-forwarder") else net_admin
        assert bounding & ~allowed == 0, service
        if service in ("control", "origin", "phone", "edge1", "edge1-agent", "ispa-resolver"):
            assert bounding == 0, service
        assert re.search(r"NoNewPrivs:\s+1", status), service
