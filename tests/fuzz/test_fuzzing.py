"""Every target runs for a few seconds from its corpus and finds nothing; and a finding would be one."""

import importlib.util
import re
from pathlib import Path

import pytest

SECONDS = 3
PLANTED = """
from harness import fuzz

def one(data):
    if data[:2] == b"no":
        {deed}

fuzz(one)
"""

spec = importlib.util.spec_from_file_location("fuzz_runner", Path(__file__).with_name("__main__.py"))
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


@pytest.mark.parametrize("target", runner.TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    done = runner.explore(target, SECONDS, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    executed = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None
    seeds = len(list((runner.CORPUS / target).iterdir()))
    assert int(executed[1]) > seeds > 5


@pytest.mark.parametrize(
    ("deed", "called"),
    [
        ("raise KeyError", "KeyError"),
        ("while True: pass", "timeout"),
        ("kept = [bytes(1 << 20) + b'x' for _ in range(4000)]", "out-of-memory"),
    ],
)
def test_an_undeclared_error_a_hang_or_memory_without_bound_is_a_finding(
    deed: str, called: str, tmp_path: Path
) -> None:
    target, wrong = tmp_path / "planted.py", tmp_path / "input"
    target.write_text(PLANTED.format(deed=deed))
    wrong.write_bytes(b"no")
    patience = () if called == "timeout" else ("-timeout=120",)  # a busy machine takes its time for gigabytes
    done = runner.run(target, f"-artifact_prefix={tmp_path}/", *patience, str(wrong))
    assert done.returncode != 0
    assert called in done.stdout + done.stderr
    wrong.write_bytes(b"yes")
    assert runner.run(target, str(wrong)).returncode == 0
