"""A process that keeps what it has freed takes no page fault for memory that it had before."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from runtime.heap import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def move():
    for _ in range(300):
        for size in (65_000, 256 << 10):  # a record, a block of a body
            held = [bytearray(size) for _ in range(8)]
            del held
move()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
move()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize(("how", "least", "most"), [("kept", 0, 100), ("given back", 10_000, 10**9)])
def test_page_faults_of_memory_that_is_freed_and_taken_again(how: str, least: int, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    assert least <= int(done.stdout) <= most
