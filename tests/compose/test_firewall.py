"""The lab on an engine with Docker's own firewall on, as ordinary hosts have it: a second engine, in a namespace."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_lab import Shell

pytestmark = [pytest.mark.needs("root", "netns", "docker", "dockerd", "mptcp"), pytest.mark.timeout(600)]

SPACE = f"sd{os.getpid()}"
INSIDE = ["nsenter", f"--net=/run/netns/{SPACE}", "--"]


def inside(*command: str) -> str:
    return subprocess.run([*INSIDE, *command], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def firewalled(compose: Shell) -> Iterator[str]:
    """DOCKER_HOST of an engine of our own, with iptables on, in a network namespace, that has the lab's image."""
    folder = Path(tempfile.mkdtemp(prefix=SPACE, dir="/var/tmp"))
    address = f"unix://{folder}/docker.sock"
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    inside("ip", "link", "set", "lo", "up")
    places = (
        "--data-root",
        str(folder / "data"),
        "--exec-root",
        str(folder / "exec"),
        "-p",
        str(folder / "pid"),
    )
    with (folder / "log").open("w") as log:
        engine = subprocess.Popen(
            [*INSIDE, "dockerd", *places, "-H", address, "--bridge=none"], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 180
        while compose("docker info", check=False, DOCKER_HOST=address).returncode:
            assert engine.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the engine did not start"
            time.sleep(0.2)
        compose(f"docker save sennit:${{SENNIT_TAG:-lab}} | DOCKER_HOST={address} docker load")
        yield address
    finally:
        compose("docker compose down -v --remove-orphans", check=False, DOCKER_HOST=address)
        engine.terminate()
        engine.wait(60)
        for mount in re.findall(rf" ({folder}\S+) ", Path("/proc/mounts").read_text()):
            subprocess.run(["umount", mount], check=False)
        subprocess.run(["ip", "netns", "del", SPACE], check=True)
        shutil.rmtree(folder)


@pytest.mark.timeout(600)
def test_the_lab_works_behind_dockers_firewall(compose: Shell, firewalled: str) -> None:
    """The lab's packets cross the host's bridges, where the firewall sees them: it must leave them as they are."""
    # the other engine's lab has these subnets too, in another network namespace: they do not meet
    files = {"COMPOSE_FILE": "docker-compose.yml:compose.mptcp.yml", "DOCKER_HOST": firewalled}
    compose("docker compose up -d --wait", **files)
    rules = inside("iptables-save", "-c")
    assert ":FORWARD DROP" in rules
    assert "-A FORWARD -j DOCKER-ISOLATION-STAGE-1" in rules or "DOCKER-FORWARD" in rules
    done = compose("sennit lab run --compose first-download --json", check=False, **files)
    (verdict,) = json.loads(done.stdout)
    assert verdict["ok"], json.dumps(verdict, indent=1)
    if Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        seen = inside("iptables", "-L", "FORWARD", "-v", "-x", "-n").splitlines()
        assert int(seen[2].split()[0]) > 100, "the firewall saw nothing: this run proves nothing"
        policy = re.search(r"policy DROP (\d+) packets", seen[0])
        assert policy is not None
        assert policy[1] == "0"
