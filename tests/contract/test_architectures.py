"""Nothing assumes amd64: what an architecture decides is looked up by its name, and arm64 has its entry."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from runtime.bpf import headers

ROOT = Path(__file__).parents[2]
SHIPPED = (
    *(
        "runtime",
        "node",
        "services",
        "smkex",
        "capture",
        "edge",
        "balancer",
        "origin",
        "sennit",
        "lab",
        "ansible",
    ),
    *("packaging", "tools", "Dockerfile", "Makefile", "docker-compose.yml"),
    *("packages.debian", "packages.test.debian", "packages.bench.debian"),
)
ASSUMES = re.compile(r"arch/x86|\bx86_64\b|\bamd64\b|\bi386\b")
NAMES_ARM_TOO = re.compile(r"aarch64|arm64")
MESSAGES = re.compile(r"linux-image-amd64|sennit-RELEASE-debian12-amd64|such as debian12-amd64")


def _shipped_lines() -> list[tuple[str, int, str]]:
    listed = subprocess.run(
        ["git", "ls-files", *SHIPPED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        (name, number, line)
        for name in listed.stdout.splitlines()
        if (ROOT / name).suffix not in {".png", ".svg", ".json", ".lock"} and (ROOT / name).is_file()
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1)
    ]


def test_a_line_that_names_amd64_names_arm64_too() -> None:
    """Examples of file names and of a kernel's package are all that may name one architecture."""
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, number, line in _shipped_lines()
        if ASSUMES.search(MESSAGES.sub("", line)) and not NAMES_ARM_TOO.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_header_tree_is_of_the_architecture(tmp_path: Path, machine: str) -> None:
    installed, made = tmp_path / "include", tmp_path / "made"
    for name in ("linux", "asm-generic", f"{machine}-linux-gnu/asm"):
        (installed / name).mkdir(parents=True)
    (installed / "linux" / "bpf.h").touch()
    headers.make_tree(made, installed, machine)
    assert os.readlink(made / "include" / "uapi" / "asm") == str(installed / f"{machine}-linux-gnu" / "asm")
    assert not list(made.glob("arch/*"))


def test_headers_of_another_architecture_are_not_taken(tmp_path: Path) -> None:
    for name in ("linux", "asm-generic", "x86_64-linux-gnu/asm"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "linux" / "bpf.h").touch()
    with pytest.raises(headers.HeadersMissing, match="aarch64-linux-gnu/asm: apt-get install linux-libc-dev"):
        headers.make_tree(tmp_path / "made", tmp_path, "aarch64")
