"""`tools/repeat-tests`: it counts, ends at the first failure, and leaves no busy processor behind."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# passes as often as the file says, and reports the processes of its own group that only burn time
TEST = """
import pathlib, subprocess

def test_as_often_as_said():
    left = pathlib.Path({left!r})
    loops = subprocess.run(["pgrep", "-g", "0", "-f", "while :; do :; done"], capture_output=True, text=True).stdout
    pathlib.Path({seen!r}).write_text(loops)
    assert int(left.read_text()) > 0
    left.write_text(str(int(left.read_text()) - 1))
"""


def repeat(folder: Path, times: str, passes: int) -> subprocess.CompletedProcess[str]:
    left, test = folder / "left", folder / "test_it.py"
    left.write_text(str(passes))
    test.write_text(TEST.format(left=str(left), seen=str(folder / "seen")))
    command = [ROOT / "tools" / "repeat-tests", times, str(test)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, start_new_session=True)


def test_it_counts_the_runs_that_passed_and_ends_its_busy_loop(tmp_path: Path) -> None:
    done = repeat(tmp_path, "2", passes=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "repeat-tests: 2 of 2 runs passed"
    (loop,) = (tmp_path / "seen").read_text().split()
    assert not Path("/proc", loop).exists()


def test_it_ends_at_the_first_failure_and_shows_it(tmp_path: Path) -> None:
    done = repeat(tmp_path, "3", passes=1)
    assert done.returncode == 1
    assert "test_as_often_as_said" in done.stdout
    assert done.stdout.splitlines()[-1] == "repeat-tests: run 2 of 3 failed, 1 passed before it"
    (loop,) = (tmp_path / "seen").read_text().split()
    assert not Path("/proc", loop).exists()


@pytest.mark.parametrize("arguments", [[], ["3"]])
def test_without_tests_it_says_how_it_is_used(arguments: list[str]) -> None:
    done = subprocess.run([ROOT / "tools" / "repeat-tests", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage:" in done.stderr
