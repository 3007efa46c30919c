"""The compose lab as fixtures, brought up by the commands that the README gives."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SENNIT = str(Path(sys.executable).with_name("sennit"))
Shell = Callable[..., subprocess.CompletedProcess[str]]


def shell(
    command: str, *, check: bool = True, timeout: float = 300, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command line as a user would, in the folder of docker-compose.yml."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(SENNIT).parent}:{os.environ['PATH']}", **settings},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done


def left() -> dict[str, str]:
    """What there is of the lab in the engine."""
    mine = "--filter label=com.docker.compose.project=sennit"
    return {
        what: found
        for what, command in {
            "containers": f"docker ps -aq {mine}",
            "networks": f"docker network ls -q {mine}",
            "volumes": f"docker volume ls -q {mine}",
        }.items()
        if (found := shell(command).stdout)
    }


@pytest.fixture(scope="session")
def compose() -> Iterator[Shell]:
    """The lab of docker-compose.yml alone, freshly built."""
    assert not left(), "a lab is up: `docker compose down -v` first"
    try:
        shell("docker compose build secrets", timeout=600)
        shell("docker compose up -d --wait")
        yield shell
    finally:
        shell("docker compose down -v --remove-orphans", check=False)
        shutil.rmtree(ROOT / "access", ignore_errors=True)


@pytest.fixture(scope="session")
def compose_mptcp(compose: Shell) -> Shell:
    """The same lab with compose.mptcp.yml."""
    files = {"COMPOSE_FILE": "docker-compose.yml:compose.mptcp.yml"}
    shell("docker compose up -d --wait", **files)
    return lambda command, **settings: shell(command, **files, **settings)
