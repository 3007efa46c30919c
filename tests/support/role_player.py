"""Ansible's roles applied to a booted container by itself; its release is the work tree."""

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from systemd_container import UNITS, SystemdContainer, booted, release_files

ROOT = Path(__file__).parents[2]
ANSIBLE = ROOT / "ansible"
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
PLAYS = "/opt/plays"  # in the machine, whose /tmp is its own


class RolePlayer:
    """`play` runs ansible-playbook in the machine, on itself, with `variables` and those of the play."""

    def __init__(self, machine: SystemdContainer, plays: Path, variables: dict[str, Any]) -> None:
        self.machine, self._plays, self._variables = machine, plays, variables

    def play(self, play: dict[str, Any], *options: str, **variables: Any) -> dict[str, int]:
        """Return the counts of the recap."""
        (self._plays / "play.yml").write_text(yaml.safe_dump([play]))
        given = {
            "common_release": "venv",  # whence the command runs, see `release_files`
            "common_archive": "",
            "common_running": {"stat": {"exists": True}},
            "ansible_python_interpreter": "/usr/bin/python3",
            **self._variables,
            **variables,
        }
        target = ("-i", "machine,", "-c", "local", "-e", json.dumps(given))
        command = [str(PLAYBOOK), *target, *options, f"{PLAYS}/play.yml"]
        environment = f"ANSIBLE_NOCOLOR=1 HOME=/root LC_ALL=C.UTF-8 ANSIBLE_ROLES_PATH={ANSIBLE}/roles"
        shell = f"cd {shlex.quote(str(ANSIBLE))} && {environment} {shlex.join(command)}"
        done = self.machine.run("sh", "-c", shell, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr + self.machine.journal()
        recap = done.stdout.rpartition("PLAY RECAP")[2].split(":", 1)[1]
        return {name: int(number) for name, number in (pair.split("=") for pair in recap.split())}


@contextlib.contextmanager
def booted_player(folder: Path, name: str, variables: dict[str, Any]) -> Iterator[RolePlayer]:
    """A booted container with the work tree as its release."""
    plays = folder / "plays"
    plays.mkdir()
    files = release_files(folder) | {
        PLAYS: plays,
        "/opt/sennit/current/systemd": UNITS,
        "/etc/systemd/system/sennit-.service.d": UNITS / "sennit-.service.d",
    }
    with booted(folder, name, files) as machine:
        machine.run("systemd-sysusers")
        machine.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sennit.conf")
        yield RolePlayer(machine, plays, variables)
