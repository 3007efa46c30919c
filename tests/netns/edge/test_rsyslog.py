"""The access log shipped by a real rsyslog with the packaged configuration: each line arrives, also after a hang."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from edge_process import EdgeProcess, edge_process, origin
from loopback import until

from smkex.client import connect
from smkex.client.connection import Connection
from smkex.client.options import ConnectOptions

pytestmark = pytest.mark.needs("rsyslog")
CONFIGURATION = Path(__file__).parents[3] / "packaging" / "logs" / "sennit-access.rsyslog.conf"


async def open_session(edge: EdgeProcess) -> Connection:
    options = ConnectOptions(paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None)
    return await connect("127.0.0.1", port=edge.port, options=options)


async def ask(connection: Connection) -> str:
    """Return the id of the request."""
    connection.writer.write(b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n")
    head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await connection.reader.readexactly(int(fields["content-length"]))
    return fields["x-request-id"]


class Receiver:
    """A TCP receiver of a line a request; while it hangs it takes connections and reads nothing."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.port = 0

    def ids(self) -> list[str]:
        return [json.loads(line)["request_id"] for line in self.lines]

    async def wait_lines(self, count: int) -> None:
        await until(lambda: len(self.lines) >= count, timeout=60)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self._receive, "127.0.0.1", 0, limit=4096)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.reads.wait()
            line = await reader.readline()
            if not line:
                return
            self.lines.append(line)


@contextmanager
def shipping(folder: Path, log: Path, port: int) -> Iterator[None]:
    """Run rsyslogd with the packaged configuration, its paths and addresses replaced."""
    text = CONFIGURATION.read_text().replace('target="logs.example"', 'target="127.0.0.1"')
    text = text.replace('port="5170"', f'port="{port}"').replace("/var/log/sennit/access.log", str(log))
    text = text.replace('action.resumeInterval="5"', 'action.resumeInterval="1"')
    settings = f'global(workDirectory="{folder}" maxMessageSize="64k" net.enableDNS="off")\n'
    configuration = folder / "rsyslog.conf"
    configuration.write_text(settings + text)
    command = ["rsyslogd", "-n", "-f", configuration, "-i", folder / "rsyslog.pid"]
    checked = subprocess.run(["rsyslogd", "-N1", "-f", configuration], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


async def test_every_line_arrives_also_when_the_receiver_hangs_and_goes_away(tmp_path: Path) -> None:
    log, receiver = tmp_path / "access.log", Receiver()
    async with origin() as (upstream, _), receiver.listening():
        options = ["--upstream", upstream, "--access-log", f"file:{log}"]
        async with edge_process(tmp_path, *options) as edge:
            with shipping(tmp_path, log, receiver.port):
                connection = await open_session(edge)
                ids = [await ask(connection) for _ in range(50)]
                await until(lambda: len(receiver.lines) == 50, timeout=60)
                assert receiver.ids() == ids
                receiver.reads.clear()  # it hangs; so many lines fill every buffer on the way
                async with asyncio.timeout(60):
                    for _ in range(20_000):
                        ids.append(await ask(connection))
                health = await edge.health()
                assert health["access_log"]["lost"] == {}  # type: ignore[index]
                assert len(receiver.lines) < len(ids)
                receiver.reads.set()
                await until(lambda: len(receiver.lines) >= len(ids), timeout=60)
                assert receiver.ids() == ids


async def test_a_shipper_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    log, receiver = tmp_path / "access.log", Receiver()
    async with (
        origin() as (upstream, _),
        receiver.listening(),
        edge_process(tmp_path, "--upstream", upstream, "--access-log", f"file:{log}") as edge,
    ):
        connection = await open_session(edge)
        ids: list[str] = []
        for _ in range(2):
            with shipping(tmp_path, log, receiver.port):
                ids += [await ask(connection) for _ in range(20)]
                await receiver.wait_lines(len(ids))
            ids += [await ask(connection) for _ in range(20)]  # while none runs
        with shipping(tmp_path, log, receiver.port):
            await receiver.wait_lines(len(ids))
    assert receiver.ids() == ids
