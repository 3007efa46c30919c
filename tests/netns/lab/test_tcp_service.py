"""A database behind a service of kind tcp: an unmodified psql reaches it by sessions, from the phone of the lab."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from own_lab import own_lab
from postgresql import Cluster, cluster

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, SERVICE_NAME
from lab.wait import wait_for

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird", "postgresql")

NAME = f"db.{SERVICE_NAME}"
# TCP at the origin to the server's unix socket, whose users are trusted
DOOR = """
import asyncio, sys
async def copy(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
async def serve(reader, writer):
    inner, outer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)
    writer.close()
    outer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 5432) as server:
        print("ready", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    """A lab of its own: with services published, the edges no longer serve every name."""
    with own_lab("db", tmp_path_factory.mktemp("services")) as made:
        yield made


@contextmanager
def door(lab: NamespaceLab, database: Cluster) -> Iterator[None]:
    command = lab.command("origin", "python", "-c", DOOR, str(database.folder / ".s.PGSQL.5432"))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.terminate()


def ask(lab: NamespaceLab, query: str) -> "subprocess.CompletedProcess[str]":
    psql = ("psql", "-X", "-h", NAME, "-U", "postgres", "-d", "postgres", "-Atc", query)
    return subprocess.run(
        lab.command("phone", "sennit", "run", "--verbose", "--json", "--host", NAME, "--", *psql),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_psql_reaches_a_database_behind_a_tcp_service_over_two_paths(
    place: LabFolder, tmp_path: Path
) -> None:
    lab = NamespaceLab(place, LAB)
    document = {
        "kind": "tcp",
        "hostnames": [NAME],
        "targets": [{"host": LAB.backbone_address("origin"), "port": 5432}],
        "required": {"both_paths": True},
    }
    file = tmp_path / "db.json"
    file.write_text(json.dumps(document))
    with cluster() as database, door(lab, database):
        lab.operate("services", "create", "db")
        lab.operate("services", "edit", "db", "--activate", "-f", str(file))
        answers: list[subprocess.CompletedProcess[str]] = []

        def is_served() -> bool:
            answers.append(ask(lab, "select md5(string_agg(n::text, ',')) from generate_series(1, 100000) n"))
            return answers[-1].returncode == 0

        wait_for(f"{NAME} to be served", is_served, 60)
        done = answers[-1]
        expected = ask_locally(
            database, "select md5(string_agg(n::text, ',')) from generate_series(1, 100000) n"
        )
        assert done.stdout == expected
        events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"event"')]
        report = next(event["report"] for event in events if event["event"] == "SessionOpened")
        assert [path["interface"] for path in report["paths"]] == ["cell0", "wifi0"]
        rows = ask(lab, "select repeat('x', 1000) || n from generate_series(1, 20000) n")
        assert rows.returncode == 0, rows.stderr
        assert rows.stdout == "".join(f"{'x' * 1000}{n}\n" for n in range(1, 20001))


def ask_locally(database: Cluster, query: str) -> str:
    command = ("psql", "-X", "-At", "-c", query, database.url("postgres"))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
