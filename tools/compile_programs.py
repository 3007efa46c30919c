"""Compile the eBPF programs ahead, with clang, to objects that libbpf loads.

    python tools/compile_programs.py [ROOT]

ROOT is where the packages are: the checkout, or the site-packages of a release that is being built. The same sources
and the same clang give the same object. Needs Debian's clang, llvm, libbpf-dev and linux-libc-dev.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from runtime.bpf.source import SHARED, object_path

SOURCES = ("balancer/datapath/c/forwarder.c",)
# v1: with the 32-bit registers of v3 the verifier takes the programs only with CAP_PERFMON
FLAGS = ("-target", "bpf", "-mcpu=v1", "-O2", "-g", "-Wall", "-Werror", "-DRAW", "-DFAST")


def compile_object(source: Path, path: Path) -> None:
    """Compile one set of programs to `path`. Raises CalledProcessError, FileNotFoundError without clang."""
    machine = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / path.name
        # line numbers and functions (BTF) stay and name files below the source's folder; DWARF is for debuggers
        subprocess.run(
            [
                *("clang", *FLAGS, f"-ffile-prefix-map={source.parent}/=", f"-ffile-prefix-map={SHARED}/="),
                *(
                    f"-I{SHARED}",
                    f"-I/usr/include/{machine.stdout.strip()}",
                    "-c",
                    str(source),
                    "-o",
                    str(made),
                ),
            ],
            check=True,
        )
        subprocess.run(["llvm-strip", "--strip-debug", str(made)], check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        shutil.copyfile(made, fresh)
        fresh.replace(path)  # at once: others that compile the same may be loading it


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).absolute()
    for name in SOURCES:
        path = object_path(root / name)
        for older in path.parent.glob(f"{Path(name).stem}-*.o"):
            older.unlink()
        compile_object(root / name, path)
        print(path)


if __name__ == "__main__":
    main()
