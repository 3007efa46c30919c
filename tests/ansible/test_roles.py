"""Roles and playbooks without a machine: the strictest lint, syntax, and arguments that are all described."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ANSIBLE = ROOT / "ansible"
BIN = Path(sys.executable).parent
ROLES = sorted(path for path in (ANSIBLE / "roles").iterdir())
PLAYBOOKS = sorted((ANSIBLE / "playbooks").glob("*.yml"))
INVENTORIES = ("lab", "example")


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, cwd=ANSIBLE, env=environment, capture_output=True, text=True)


@pytest.mark.timeout(600)
def test_lint_finds_nothing_in_its_strictest_profile() -> None:
    done = _run(str(BIN / "ansible-lint"), "--offline", "--nocolor", "--strict", "--profile", "production")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_a_bad_task_is_noticed(tmp_path: Path) -> None:
    """The lint bites: a file without an explicit mode is refused."""
    play = tmp_path / "play.yml"
    play.write_text(
        "---\n- name: Bad\n  hosts: all\n  tasks:\n    - name: Write\n      ansible.builtin.copy:\n"
        "        content: secret\n        dest: /etc/secret\n"
    )
    done = _run(
        *(str(BIN / "ansible-lint"), "--offline", "--nocolor", "-c", str(ANSIBLE / ".ansible-lint")),
        str(play),
    )
    assert done.returncode != 0
    assert "risky-file-permissions" in done.stdout


@pytest.mark.parametrize("inventory", INVENTORIES)
@pytest.mark.timeout(300)
def test_playbooks_have_no_syntax_errors(inventory: str) -> None:
    done = _run(
        *(str(BIN / "ansible-playbook"), "--syntax-check", "-i", f"inventories/{inventory}"),
        *(str(path.relative_to(ANSIBLE)) for path in PLAYBOOKS),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_every_argument_of_a_role_is_described_and_the_other_way_round(role: Path) -> None:
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    specification = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"][
        "main"
    ]
    assert set(specification["options"]) <= set(defaults)
    undescribed = set(defaults) - set(specification["options"])
    assert not undescribed
    assert specification["short_description"]
    for name, option in specification["options"].items():
        assert option["description"], name
        assert name.startswith(f"{role.name}_")


def test_no_order_comes_from_a_set() -> None:
    """Ansible's union and intersect are of sets: what is in an order, such as daemons that stop, goes without them."""
    found = [
        f"{file.name}: {line.strip()}"
        for folder in (ANSIBLE / "roles", ANSIBLE / "playbooks")
        for file in folder.rglob("*")
        if file.suffix in (".yml", ".j2")
        for line in file.read_text().splitlines()
        if re.search(r"\|\s*(union|intersect|symmetric_difference)\(", line) and "| sort" not in line
    ]
    assert found == []


@pytest.mark.parametrize("file", ["playbooks/tasks/remove.yml", "roles/capture/tasks/remove.yml"])
def test_a_removal_takes_every_user_that_a_release_makes(file: str) -> None:
    made = re.findall(r"^u (\S+)", (ROOT / "packaging/systemd/sysusers.conf").read_text(), re.MULTILINE)
    tasks = yaml.safe_load((ANSIBLE / file).read_text())
    (task,) = [one for one in tasks if one["name"] == "Remove users"]
    assert len(made) > 5
    assert set(re.findall(r"sennit-[a-z]+", str(task["loop"]))) == set(made)


def test_nothing_of_ansible_is_a_python_package() -> None:
    """`import ansible` must find Ansible."""
    assert not list(ANSIBLE.rglob("__init__.py"))


def test_only_what_ansible_itself_brings_is_used() -> None:
    """No collection has to be fetched before a playbook runs."""
    for path in [*ANSIBLE.rglob("tasks/*.yml"), *PLAYBOOKS]:
        for play in yaml.safe_load(path.read_text()) or []:
            for task in _tasks(play):
                modules = [key for key in task if "." in key]
                assert all(key.startswith("ansible.builtin.") for key in modules), (path, modules)


def _tasks(value: dict[str, object]) -> list[dict[str, object]]:
    found = [value]
    for key in ("tasks", "pre_tasks", "post_tasks", "block", "rescue"):
        for each in value.get(key) or []:  # type: ignore[attr-defined]
            found += _tasks(each)
    return found


def test_no_secret_has_a_default() -> None:
    for role in ROLES:
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
        for name, value in defaults.items():
            if name.endswith(("_key", "_token", "_password", "_keys")):
                assert "sennit_vault_" in str(value), (role.name, name)
