"""A state folder as the package's tmpfiles.conf sets it up, each daemon with a user of its own, and code run as one."""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lab.attack.other_user import run_as_user
from node.state.state_file import USER_PREFIX, StateFile

SYSTEMD = Path(__file__).parents[2] / "packaging" / "systemd"
FIRST_UID = 64_300
GROUP = 64_299
STATE = Path("/var/lib/sennit")


@functools.cache  # read before a test becomes another user, who may not
def daemon_users() -> dict[str, int]:
    """Give each user of sysusers.conf an id that no user of this host has."""
    lines = (SYSTEMD / "sysusers.conf").read_text().splitlines()
    names = [line.split()[1] for line in lines if line.startswith("u ")]
    return {name: FIRST_UID + number for number, name in enumerate(names)}


def group_ids() -> dict[str, int]:
    """Give each user's own group its user's id, and the group of the node its own."""
    return {"root": 0, "sennit": GROUP} | daemon_users()


def supplementary_groups(user: str) -> list[int]:
    """Return the groups that the unit of this daemon adds."""
    text = (SYSTEMD / f"{user}.service").read_text()
    found = re.findall(r"^SupplementaryGroups=(.*)$", text, re.MULTILINE)
    return [group_ids()[name] for name in " ".join(found).split() if name in group_ids()]


def create_state_folder(place: Path) -> None:
    """Create what tmpfiles.conf says about the state folder under `place`."""
    users = {"root": 0} | daemon_users()
    for line in (SYSTEMD / "tmpfiles.conf").read_text().splitlines():
        if not line.startswith("d /var/lib/sennit"):
            continue
        _, path, mode, user, group = line.split()
        folder = place / Path(path).relative_to(STATE)
        folder.mkdir(exist_ok=True)
        os.chown(folder, users[user], group_ids()[group])
        folder.chmod(int(mode, 8))  # after chown, which clears the group's bit


def own_file(file: StateFile, state: Path) -> None:
    """Give a file that this test wrote to its writer; the group of a folder with the setgid bit it has already."""
    if file.only_reader is None:
        os.chown(file.path_in(state), -1, GROUP)
    os.chown(file.path_in(state), daemon_users()[USER_PREFIX + file.writer.value], -1)


def find_user(name: str) -> SimpleNamespace:
    """`pwd.getpwnam` of that host."""
    return SimpleNamespace(pw_uid=daemon_users()[name])


def run_as(user: str, action: Callable[[], Any]) -> Any:
    """Run `action` in a child that has become this user, as its unit does; return its value, which must be JSON."""
    return run_as_user(daemon_users()[user], GROUP, action, supplementary_groups(user))
