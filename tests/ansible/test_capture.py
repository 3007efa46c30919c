"""Role capture on a booted machine: installed, idempotent, checked, changed, and removed.

The machine is a container with this machine's own system; its release is the work tree. Role common has its own tests.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from role_player import ANSIBLE, PLAYBOOK, RolePlayer, booted_player
from systemd_container import SENNIT

pytestmark = [pytest.mark.needs("root", "netns", "bcc", "container"), pytest.mark.timeout(900)]

HOST = "127.0.0.2"
ROLE = {"name": "Capture", "hosts": "all", "gather_facts": False, "roles": ["capture"]}
REMOVAL = {
    "name": "Removal",
    "hosts": "all",
    "gather_facts": False,
    "tasks": [
        {"name": "Remove", "ansible.builtin.include_role": {"name": "capture", "tasks_from": "remove.yml"}}
    ],
}
WRITTEN = (
    *("/etc/systemd/system/sennit-capture.service", "/etc/systemd/system/sennit-capture.service.d"),
    *("/etc/systemd/system/sennit-captured.slice", "/etc/systemd/system/run-sennit-bpf.mount"),
    *("/etc/sennit/captured-hosts", "/etc/sennit/capture.env", "/var/lib/sennit-capture"),
)


class Provisioned:
    """The machine with the role's service."""

    def __init__(self, player: RolePlayer) -> None:
        self.machine, self.play = player.machine, player.play

    def main_process(self) -> str:
        return self.machine.systemctl("show", "--value", "--property=MainPID", "sennit-capture")

    def runs_for(self, host: str) -> int:
        """The status of a user's `sennit run` for a host."""
        done = self.machine.in_unit(SENNIT, "run", "--host", host, "--", "true", options=("--uid=65534",))
        return done.returncode


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioned]:
    variables = {"capture_hosts": [HOST], "capture_options": "--path lo --allow-shared-path"}
    with booted_player(tmp_path_factory.mktemp("capture"), "sennit-capture-role", variables) as player:
        yield Provisioned(player)


def test_a_check_changes_nothing(provisioned: Provisioned) -> None:
    assert provisioned.play(ROLE, "--check", "--diff")["changed"] > 0
    for path in WRITTEN:
        assert provisioned.machine.run("test", "-e", path, check=False).returncode != 0, path


def test_it_installs_and_starts_the_service_and_a_second_run_changes_nothing(
    provisioned: Provisioned,
) -> None:
    assert provisioned.play(ROLE)["changed"] > 0
    assert provisioned.machine.systemctl("is-active", "sennit-capture") == "active"
    assert provisioned.machine.systemctl("is-enabled", "sennit-capture") == "enabled"
    assert provisioned.runs_for(HOST) == 0
    process = provisioned.main_process()
    assert provisioned.play(ROLE)["changed"] == 0
    assert provisioned.play(ROLE, "--check", "--diff")["changed"] == 0
    assert provisioned.main_process() == process


def test_other_hosts_are_read_without_a_restart_and_other_options_with_one(provisioned: Provisioned) -> None:
    process = provisioned.main_process()
    assert provisioned.play(ROLE, capture_hosts=[HOST, "127.0.0.3"])["changed"] == 2
    assert provisioned.main_process() == process
    assert provisioned.runs_for("127.0.0.3") == 0
    options = "--path lo --allow-shared-path --timeout 9"
    assert provisioned.play(ROLE, capture_hosts=[HOST, "127.0.0.3"], capture_options=options)["changed"] == 2
    assert provisioned.main_process() not in (process, "0")


def test_a_removal_leaves_nothing_and_may_be_repeated(provisioned: Provisioned) -> None:
    assert provisioned.play(REMOVAL, capture_remove_release=False)["changed"] > 0
    machine = provisioned.machine
    assert machine.systemctl("is-active", "sennit-capture", check=False) == "inactive"
    for path in (*WRITTEN, "/run/sennit-capture", "/run/sennit/bpf/capture"):
        assert machine.run("test", "-e", path, check=False).returncode != 0, path
    assert machine.run("id", "sennit-capture", check=False).returncode != 0
    assert provisioned.play(REMOVAL, capture_remove_release=False)["changed"] == 0


def test_the_example_inventory_has_what_the_role_asks_for(tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    validated = [{"hosts": "clients", "gather_facts": False, "roles": ["common", "capture"]}]
    play.write_text(yaml.safe_dump(validated))
    done = subprocess.run(
        [str(PLAYBOOK), "-i", "inventories/clients", "-c", "local", "--tags", "none", str(play)],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Validating arguments") == 2
