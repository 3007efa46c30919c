"""A worker that ends is replaced, also where the next one does not get far."""

import asyncio
from pathlib import Path

import pytest

from edge.config.settings import EdgeSettings
from edge.ingress.listening_sockets import ListeningSockets
from edge.server.workers import supervisor
from edge.server.workers.generation import WorkerGeneration, WorkerProcess
from edge.server.workers.supervisor import Supervisor
from node.state.identity import NodeIdentity
from node.vip import Vip


class Restless(Supervisor):
    """Its workers end at once: the first two before they are ready, then one that cannot even be started."""

    def __init__(self, settings: EdgeSettings) -> None:
        node = NodeIdentity(1, "edge1", Vip("main", "127.0.0.1", None, 1, id_port_base=1))
        super().__init__(settings, lambda: settings, node, ListeningSockets(()), [])
        self.spawned: list[int] = []
        self.enough = asyncio.Event()

    async def _spawn_worker(self, generation: WorkerGeneration, index: int) -> None:
        self.spawned.append(index)
        if len(self.spawned) == 3:
            raise OSError("no memory")
        if len(self.spawned) == 4:
            self.enough.set()
            return
        process = await asyncio.create_subprocess_exec("false")
        ended = asyncio.StreamReader()
        ended.feed_eof()
        writer = asyncio.StreamWriter(
            asyncio.Transport(), asyncio.Protocol(), None, asyncio.get_running_loop()
        )
        writer.close = lambda: None  # type: ignore[method-assign]
        worker = WorkerProcess(index, process, writer)
        generation.workers[index] = worker
        task = asyncio.create_task(self._watch_worker(generation, worker, ended))
        generation.watching.add(task)


async def test_a_worker_whose_replacement_fails_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAY", 0.0)
    settings = EdgeSettings(state=tmp_path, workers=1, _cli_parse_args=[])
    it = Restless(settings)
    generation = WorkerGeneration(settings, 0, [], [], accepting=True)
    await it._spawn_worker(generation, 0)
    async with asyncio.timeout(20):
        await it.enough.wait()
    await asyncio.gather(*generation.watching)
    assert it.spawned == [0, 0, 0, 0]
