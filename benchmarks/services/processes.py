"""Edges with services and origins, as processes on loopback; neither is kept on one processor."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.edge.peers import free_ports
from node.state.identity import NodeIdentity, write_identity
from node.vip import Vip
from services.published_file import read_applied_services

SENNIT = str(Path(sys.executable).with_name("sennit"))
START_SECONDS = 120.0  # of an edge with 10,000 services, on a busy machine


@dataclass(frozen=True, slots=True)
class RunningEdge:
    """An edge at `port` of 127.0.0.1, with the services of its state folder."""

    port: int
    state: Path
    pid: int

    @property
    def applied(self) -> int:
        """The generation of services that it says is in force; 0 before the first."""
        try:
            return read_applied_services(self.state).generation
        except (OSError, ValueError):
            return 0


@asynccontextmanager
async def running_edge(folder: Path, number: int = 1, *options: str) -> AsyncIterator[RunningEdge]:
    """Run edge `number` with the state folder `folder`/state, once it is ready."""
    state, port, log = folder / "state", free_ports(number + 1), folder / "edge.log"
    state.mkdir(exist_ok=True)
    write_identity(
        state, NodeIdentity(number, f"edge{number}", Vip("main", "127.0.0.1", None, port, id_port_base=port))
    )
    command = [SENNIT, "edge", "--state", str(state), "--cache", str(folder / "cache"), *options]
    async with running_process(log, *command, "--origin-allow", "127.0.0.0/8") as process:
        async with asyncio.timeout(START_SECONDS):
            while "ready: edge" not in log.read_text():
                if process.returncode is not None:
                    raise RuntimeError(log.read_text())
                await asyncio.sleep(0.02)
        yield RunningEdge(port, state, process.pid)


@asynccontextmanager
async def running_process(log: Path, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program with its output in `log`; at the end it is stopped, also if it was suspended."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            process.send_signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()
