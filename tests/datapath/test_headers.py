"""The programs compile to the same on every machine, whatever kernel headers it has."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.datapath.load.loaded import SOURCE
from runtime.bpf.source import source_for_bcc

pytestmark = pytest.mark.needs("root", "bcc")

ROOT = Path(__file__).parents[2]
COMPILE = """
import hashlib, os
from balancer.datapath.load.compile import compile_and_load
loaded = compile_and_load(raw=True, fast=True)
code = [loaded.instructions(name) for name in loaded.programs]
print(len(code), hashlib.sha256(b"".join(code)).hexdigest(), os.environ.get("BCC_KERNEL_SOURCE"))
"""
PYTHON = (sys.executable, "-c", COMPILE)
# in a mount namespace of its own, so that the machine's /lib/modules stays as it is
BEHIND_MODULES = """
set -e
mount -t tmpfs none "$1"
mkdir -p "$1/upper/modules/$(uname -r)" "$1/work"
cp -r "$2" "$1/upper/modules/$(uname -r)/build"
mount -t overlay overlay -o "lowerdir=/usr/lib,upperdir=$1/upper,workdir=$1/work" /usr/lib
test -f "/lib/modules/$(uname -r)/build/include/linux/kconfig.h"
shift 2
exec "$@"
"""
# macros of a kernel's internal headers that read like names of ours; a field of that name would not compile with them
KERNEL_MACROS = {
    "current",
    "min",
    "max",
    "swap",
    "barrier",
    "likely",
    "unlikely",
    "fallthrough",
    "noinline",
    "jiffies",
}


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    """A header tree none of whose files compiles."""
    tree = tmp_path / "tree"
    names = (
        "linux/kconfig.h",
        "linux/types.h",
        "uapi/linux/bpf.h",
        "uapi/linux/tcp.h",
        "generated/autoconf.h",
    )
    for name in names:
        file = tree / "include" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#error "{name} of this machine was taken"\n')
    (tree / "include" / "uapi" / "linux" / "version.h").write_text("#define LINUX_VERSION_CODE 0\n")
    return tree


def compiled(*command: str, **settings: str) -> list[str]:
    """How many programs were compiled, the hash of their instructions, and BCC_KERNEL_SOURCE afterwards."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BCC_")}
    done = subprocess.run(command or PYTHON, env=clean | settings, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_headers_of_the_machine_make_no_difference(poisoned: Path, tmp_path: Path) -> None:
    alone = compiled()
    assert alone[0] == "8"
    assert alone[2] == "None"
    named = compiled(BCC_KERNEL_SOURCE=str(poisoned))
    assert named == [*alone[:2], str(poisoned)]
    layers = tmp_path / "layers"
    layers.mkdir()
    script = ["sh", "-c", BEHIND_MODULES, "sh", str(layers), str(poisoned), *PYTHON]
    assert compiled("unshare", "--mount", "--propagation", "private", *script) == alone


def test_no_name_of_the_programs_is_a_macro_of_the_kernel() -> None:
    text = re.sub(r"/\*.*?\*/", "", source_for_bcc(SOURCE), flags=re.DOTALL)
    assert "struct bucket" in text
    assert set(re.findall(r"\w+", text)) & KERNEL_MACROS == set()
