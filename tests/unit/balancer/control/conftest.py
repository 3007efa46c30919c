"""A control plane on a real database in a temporary folder, with a clock whose hands the test turns."""

import contextlib
import functools
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import postgresql
import psycopg
import pytest
from sqlalchemy import create_engine

from balancer.control.app import create_app, follow_instances, sweep_plane
from balancer.control.plane import ControlPlane
from balancer.control.rules import ControlRules
from balancer.control.storage.database import DATABASE, database_url, migrate_schema
from balancer.control.storage.records import Record

ADMIN = "the-admin-token-of-this-test"
VIP = {
    "name": "main",
    "v4": "203.0.113.1",
    "v6": None,
    "service_port": 443,
    "locator": "port",
    "id_port_base": 10000,
}


class TestClock:
    """A clock that only the test advances."""

    __test__ = False

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Api:
    """The REST API as a test speaks to it."""

    def __init__(self, http: httpx.AsyncClient, plane: ControlPlane, clock: TestClock) -> None:
        self.http, self.plane, self.clock = http, plane, clock

    async def ask(
        self, method: str, path: str, body: Any = None, token: str = ADMIN, **more: Any
    ) -> httpx.Response:
        if method == "PUT":
            await self.plane.heartbeats.exchange_heartbeats()  # an instance does so once a second
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return await self.http.request(method, path, json=body, headers=headers, **more)

    async def token(self, **body: Any) -> str:
        answer = await self.ask("POST", "/v1/enrolment-tokens", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def enrol(self, number: int, token: str | None = None, **changes: Any) -> httpx.Response:
        """Enrol `edgeN`, whose credential is `credential-N`."""
        body = {
            "name": f"edge{number}",
            "site": "a",
            "tunnel_v4": f"10.255.{number >> 8}.{number & 255}",
            "credential_sha256": hashlib.sha256(f"credential-{number}".encode()).hexdigest(),
        }
        return await self.ask("POST", "/v1/edges", body | changes, token=token or await self.token())

    async def move(self, number: int, tunnel: str) -> None:
        """Have `edgeN` report another tunnel address, and accept it."""
        await self.enrol(number, f"credential-{number}", tunnel_v4=tunnel)
        pending = (await self.edge(number))["pending"]
        del pending["reported_at"]
        assert (await self.ask("POST", f"/v1/edges/{number}/pending", pending)).status_code == 200

    async def heartbeat(
        self, edge_id: int, number: int | None = None, health: str = "ok", **more: Any
    ) -> httpx.Response:
        path = f"/v1/edges/{edge_id}/lease"
        return await self.ask(
            "PUT", path, {"health": health, **more}, token=f"credential-{number or edge_id}"
        )

    async def edge(self, edge_id: int) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.ask("GET", f"/v1/edges/{edge_id}")).json()
        return shown

    async def table(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.ask("GET", "/v1/table")).json()
        return answer

    async def states(self) -> dict[int, str]:
        return {edge["id"]: edge["state"] for edge in (await self.table())["edges"]}

    async def pass_time(self, seconds: float) -> None:
        self.clock.seconds += seconds
        await self.plane.heartbeats.exchange_heartbeats()
        await sweep_plane(self.plane)


@functools.cache
def _migrated() -> bytes:
    """An empty database with the newest schema: each test begins with a copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        migrate_schema(database_url(Path(folder), None))
        return (Path(folder) / DATABASE).read_bytes()


@contextlib.asynccontextmanager
async def control_plane(folder: Path, clock: TestClock, database: str | None = None) -> AsyncIterator[Api]:
    """Run the real application on a state folder, without its timer."""
    rules = ControlRules(lease_seconds=10, quarantine=timedelta(hours=1))
    if database is None and not (folder / DATABASE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DATABASE).write_bytes(_migrated())
    app = create_app(folder, ADMIN, rules, clock, sweeping=False, database=database)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://c") as http,
    ):
        yield Api(http, app.state.plane, clock)


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgresql.Cluster]:
    """A PostgreSQL server, whose database `postgres` has the schema."""
    with postgresql.cluster() as running:
        migrate_schema(database_url(Path(), running.url("postgres")))
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def database(request: pytest.FixtureRequest) -> str | None:
    """The same tests run on both databases."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("cluster").url("postgres")
    with psycopg.connect(url) as connection:
        names = ", ".join(table.name for table in Record.metadata.sorted_tables)
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY".encode())
        connection.execute("INSERT INTO counter VALUES ('revision', 0)")
    return url


@pytest.fixture
async def api(tmp_path: Path, database: str | None) -> AsyncIterator[Api]:
    async with control_plane(tmp_path, TestClock(), database) as running:
        assert (await running.ask("POST", "/v1/vips", VIP)).status_code == 201
        yield running


@pytest.fixture
def restartable(tmp_path: Path, database: str | None) -> Any:
    """Start the control plane on the same folder, database and clock as often as called."""
    clock = TestClock()
    return lambda: control_plane(tmp_path, clock, database)


@pytest.fixture
def stored(tmp_path: Path, database: str | None) -> Any:
    """Everything that the database holds, as text."""

    def read() -> str:
        engine = create_engine(database_url(tmp_path, database))
        with engine.connect() as connection:
            rows = [connection.execute(table.select()).all() for table in Record.metadata.sorted_tables]
        engine.dispose()
        return str(rows)

    return read


@pytest.fixture
def vip() -> dict[str, Any]:
    return dict(VIP)


@pytest.fixture(scope="session")
def open_in() -> Any:
    """Open a control plane in a folder, with a clock of its own."""
    return lambda folder: control_plane(folder, TestClock())


@pytest.fixture(scope="session")
def open_on() -> Any:
    """Open a control plane in a folder and on a database, with a clock of its own."""
    return lambda folder, database: control_plane(folder, TestClock(), database)


@pytest.fixture
async def pair(tmp_path: Path, cluster: postgresql.Cluster) -> AsyncIterator[tuple[Api, Api]]:
    """Two instances in this process on one PostgreSQL, each with a clock that the test turns."""
    database = cluster.database()
    async with control_plane(tmp_path / "a", TestClock(), database) as first:
        (tmp_path / "b").mkdir()
        key = (tmp_path / "a" / "table-signing.key").read_bytes()
        (tmp_path / "b" / "table-signing.key").write_bytes(key)
        async with control_plane(tmp_path / "b", TestClock(), database) as second:
            await first.ask("POST", "/v1/vips", VIP)
            yield first, second


@pytest.fixture
def turn(pair: tuple[Api, Api]) -> Any:
    """Let both instances do what each does once in a while: exchange heartbeats, read each other's changes."""

    async def turn_both() -> None:
        for api in (*pair, *pair):
            await api.plane.heartbeats.exchange_heartbeats()
        for api in pair:
            await follow_instances(api.plane)

    return turn_both
