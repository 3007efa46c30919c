"""What a run prints, with --diff too: no secret of the inventory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "ansible" / "roles"
PASSWORD = "neighbour's secret"


def run_template(role: str, name: str, target: Path, variables: dict[str, object]) -> str:
    """Run the task `name` of a role's main.yml, writing to `target`; return all that is printed."""
    tasks = yaml.safe_load((ROLES / role / "tasks" / "main.yml").read_text())
    task = next(each for each in tasks if each["name"] == name)
    module = task["ansible.builtin.template"]
    source = str(ROLES / role / "templates" / module["src"])
    task["ansible.builtin.template"] = {"src": source, "dest": str(target), "mode": "0600"}
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {**defaults, **variables, "ansible_python_interpreter": "/usr/bin/python3"},
        "tasks": [task],
    }
    file = target.with_name("play.yml")
    file.write_text(yaml.safe_dump([play]))
    command = [Path(sys.executable).parent / "ansible-playbook", "-vv", "--diff", "-i", "localhost,", file]
    done = subprocess.run(
        command,
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("secret", [True, False])
def test_a_difference_of_birds_configuration_shows_no_password(secret: bool, tmp_path: Path) -> None:
    neighbour: dict[str, object] = {"name": "router1", "address": "198.51.100.17", "asn": 64500}
    if secret:
        neighbour["password"] = PASSWORD
    variables = {
        "bird_prefix": "203.0.113.1/32",
        "bird_prefix6": "",
        "bird_neighbors": [neighbour],
        "bird_router_id": "198.51.100.18",
        "bird_asn": 64501,
    }
    target = tmp_path / "bird.conf"
    printed = run_template("bird", "Write BIRD's configuration", target, variables)
    assert (PASSWORD in target.read_text()) is secret
    assert PASSWORD not in printed
    assert ("+protocol" in printed or "+  neighbor" in printed) is not secret, "without one it is shown"
