"""The edge, nginx and uvicorn with the same objects, and one run of a load against one of them."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.edge.load_generator import Load, build_load_generator, run_load
from benchmarks.edge.peers import Peer, make_certificate, running_caching_edge, running_nginx, running_uvicorn
from benchmarks.measurement.processors import LOAD_PROCESSOR

OBJECTS = {"small": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "large": 256 << 20}  # bytes by name
PROGRAM_FOLDERS = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


@dataclass
class Contenders:
    """Servers that run, each kept on one processor, and the load generator, on the other."""

    folder: Path
    program: Path
    ours: Peer
    nginx: Peer | None
    uvicorn: Peer
    seconds: float = 1.5

    @property
    def over_tls(self) -> Peer:
        """What the edge is compared with: nginx, or uvicorn where there is no nginx."""
        return self.nginx or self.uvicorn

    def load(self, peer: Peer, *options: str, count: str = "responses") -> Load:
        """Run the load generator in C; see its usage for options."""
        return run_load(self.program, peer, *options, count=count, seconds=self.seconds)

    def load_by_python(self, peer: Peer, what: str, connections: int, protocol: str | None = None) -> Load:
        """Run clients in Python: `what` as of load_client. A download counts bytes."""
        command = [sys.executable, "-m", "benchmarks.edge.load_client", protocol or peer.protocol, what]
        process = subprocess.Popen(
            [*command, str(peer.port), str(connections), str(self.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdin is not None
        assert process.stdout is not None
        os.sched_setaffinity(process.pid, LOAD_PROCESSOR)
        _expect_line(process, "go")
        began, cpu, resident = time.perf_counter(), peer.cpu(), peer.resident()
        _expect_line(process, "done")
        took, cpu, resident = time.perf_counter() - began, peer.cpu() - cpu, peer.resident() - resident
        with contextlib.suppress(BrokenPipeError):  # most do not wait for it
            process.stdin.write("\n")
            process.stdin.close()
        details = json.loads(process.stdout.readline())
        process.stdout.close()
        process.wait(60)
        return Load(
            details["count"],
            took,
            max(cpu, 1e-6),
            details["median"],
            details["median"],
            details.get("client_cpu", 0.0),
            {"resident": resident},
        )


def make_objects(folder: Path) -> None:
    """Write what the servers serve into `folder`/www."""
    www = folder / "www"
    www.mkdir()
    for name, size in OBJECTS.items():
        with (www / name).open("wb") as file:
            file.truncate(size)


@contextmanager
def running_contenders() -> Iterator[Contenders]:
    """Run all until the context ends. Without nginx (Debian: nginx-light) it is left out, with a line on stderr."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        make_certificate(folder)
        make_objects(folder)
        nginx = None
        if shutil.which("nginx", path=PROGRAM_FOLDERS):
            nginx = stack.enter_context(running_nginx(folder))
        else:
            print("edge: there is no nginx here: compared with uvicorn only", file=sys.stderr)
        yield Contenders(
            folder,
            build_load_generator(folder),
            stack.enter_context(running_caching_edge(folder)),
            nginx,
            stack.enter_context(running_uvicorn(folder)),
        )


def _expect_line(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line.strip() != word:
        raise RuntimeError(f"the clients failed: {line}")
