"""What `make lab` suggests at its end can be typed as it stands."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from own_lab import own_lab

from lab.namespace import bringup
from lab.namespace.daemons import sennit_program
from lab.namespace.hints import suggested_commands
from sennit.commands.lab.lab import build_parser

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

# minutes each, which test_scenarios.py and test_attack.py spend: here only their words are read
LONG = ("sennit lab run all", "sennit lab attack")


def test_every_suggested_command_succeeds(tmp_path: Path) -> None:
    with own_lab("hi", tmp_path) as place:
        environment = {
            **os.environ,
            "PATH": f"{Path(sennit_program()).parent}:{os.environ['PATH']}",
            "SENNIT_LAB_NAME": place.name,
            "SENNIT_LAB_STATE": str(place.folder),
        }
        commands = suggested_commands(place)
        assert set(LONG) < set(commands)
        for command in LONG:
            assert build_parser().parse_args(shlex.split(command)[2:]).needs_root
        said = {}
        for command in commands:
            if command in LONG:
                continue
            done = subprocess.run(
                ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            said[command] = done.stdout
        (status,) = (text for command, text in said.items() if "forwarder status" in command)
        assert "forwarded" in status
        assert commands[-1].endswith("lab down")
        assert not bringup.is_up(place)
