"""Capabilities are dropped in every thread or the process does not go on; memory is not dumped."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.capabilities import held_capabilities

STATUS = """Name:\tx
CapInh:\t{0:016x}
CapPrm:\t{1:016x}
CapEff:\t{2:016x}
CapBnd:\tffffffffffffffff
CapAmb:\t{3:016x}
"""


@pytest.mark.parametrize("position", range(4))
def test_each_set_of_each_thread_counts_and_the_bounding_set_does_not(tmp_path: Path, position: int) -> None:
    masks = [0, 0, 0, 0]
    masks[position] = 1 << 12
    for thread, values in ((1, [0, 0, 0, 0]), (2, masks)):
        (tmp_path / str(thread)).mkdir()
        (tmp_path / str(thread) / "status").write_text(STATUS.format(*values))
    assert held_capabilities(tmp_path) == {1: 0, 2: 1 << 12}


def test_a_thread_that_ends_meanwhile_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    assert held_capabilities(tmp_path) == {}


PROGRAM = """
import sys, threading
from runtime import capabilities
from runtime.capabilities import CapabilitiesHeld, NET_ADMIN, drop_capabilities, held_capabilities

leave = threading.Event()
if "thread" in sys.argv:
    threading.Thread(target=leave.wait).start()
try:
    drop_capabilities(NET_ADMIN)
    print("dropped", any(held >> NET_ADMIN & 1 for held in held_capabilities().values()))
except CapabilitiesHeld:
    print("held")
leave.set()
"""


@pytest.mark.needs("root")
@pytest.mark.parametrize(("arguments", "said"), [([], "dropped False"), (["thread"], "held")])
def test_a_thread_that_was_started_before_is_found(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.strip() == said


def test_a_process_that_holds_keys_cannot_be_dumped() -> None:
    program = """
import ctypes
from runtime.core_dumps import forbid_core_dumps
libc = ctypes.CDLL(None)
before = libc.prctl(3, 0, 0, 0, 0)
forbid_core_dumps()
print(before, libc.prctl(3, 0, 0, 0, 0))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.split() == ["1", "0"]
