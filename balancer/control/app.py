"""The application: its parts, put together and taken apart in order."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import Depends, FastAPI

from balancer.api.schemas import HealthView
from balancer.control.access.enrolment_tokens import endpoints as enrolment_tokens
from balancer.control.access.identity import sha256_hex
from balancer.control.access.login import endpoints as login
from balancer.control.access.tokens import endpoints as tokens
from balancer.control.audit import endpoints as audit
from balancer.control.audit import retention
from balancer.control.clock import Clock, SystemClock
from balancer.control.edges import endpoints as edges
from balancer.control.edges import repository as edge_queries
from balancer.control.edges import service as edge_rules
from balancer.control.edges.directory import EdgeDirectory
from balancer.control.edges.leases import Leases
from balancer.control.edges.settling import WriteCoalescer
from balancer.control.edges.sharing import LeaseSharing
from balancer.control.fast_open_keys import endpoints as fast_open_keys
from balancer.control.fast_open_keys import repository as fast_open_key_queries
from balancer.control.grants.book import GrantBook
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.health.board import HealthBoard
from balancer.control.http import openapi, problems
from balancer.control.http.body_limit import BodyLimit
from balancer.control.http.query import refuse_unknown
from balancer.control.metrics import endpoints as metrics
from balancer.control.page import endpoints as page
from balancer.control.plane import ControlPlane, Plane, Rules
from balancer.control.purges import endpoints as purges
from balancer.control.purges import repository as purge_queries
from balancer.control.sites import endpoints as sites
from balancer.control.storage.database import database_url, migrate_schema
from balancer.control.storage.store import Store
from balancer.control.table import acknowledgements
from balancer.control.table import endpoints as table
from balancer.control.table.live import LiveTable
from balancer.control.table.publication import Publication
from balancer.control.table.signing_key import agreed_key, public_bytes
from balancer.control.table.watch import TableWatch
from balancer.control.trace import endpoints as trace
from balancer.control.vips import endpoints as vips

log = logging.getLogger(__name__)

FOLLOW_INTERVAL = 0.2  # seconds between looks at what other instances have published
PRUNE_INTERVAL = 3600.0  # seconds between looks for what the audit log need not keep


@contextlib.asynccontextmanager
async def open_plane(
    state: Path, admin_token: str, rules: Rules, clock: Clock, database: str | None
) -> AsyncIterator[ControlPlane]:
    """Open the state folder and the database, and publish the table it leads to."""
    await asyncio.to_thread(state.mkdir, parents=True, exist_ok=True)
    url = database_url(state, database)
    store = Store(state, url)
    sharing = LeaseSharing(store.engine, clock, rules.lease_seconds) if store.shared else None
    try:
        await asyncio.to_thread(migrate_schema, url)
        key = await agreed_key(store, state)
        leases = Leases(clock, rules.lease_seconds)
        async with store.read() as session:
            leases.grant_grace(await edge_queries.alive_ids(session))
            directory = EdgeDirectory()
            await directory.catch_up(session)
            watch = TableWatch(LiveTable(key))
            publication = Publication(clock, watch, shared=store.shared)
            await publication.load(session)
            newest_purge = await purge_queries.newest_id(session)
            newest_fast_open_key = await fast_open_key_queries.newest_id(session)
        plane = ControlPlane(
            rules=rules,
            clock=clock,
            store=store,
            leases=leases,
            sharing=sharing,
            directory=directory,
            health=HealthBoard(clock, leases),
            acknowledgements=Acknowledgements(clock, rules.lease_seconds, watch.current),
            grants=GrantBook(clock, leases, rules.lease_seconds, rules.minimum_healthy),
            watch=watch,
            publication=publication,
            table_key=public_bytes(key),
            admin_sha256=sha256_hex(admin_token),
            newest_purge=newest_purge,
            newest_fast_open_key=newest_fast_open_key,
            settling=WriteCoalescer(lambda batch: edge_rules.persist_liveness(plane, batch)),
        )
        store.committed = directory.committed
        store.publish = publication.publish
        yield plane
    finally:
        if sharing:
            await sharing.close()
        await store.close()


async def _repeat_forever(seconds: float, what: Callable[[], Awaitable[object]]) -> None:
    """Do something again and again until cancelled; a failure is logged and tried again."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await what()
        except Exception:
            log.exception("will be tried again")


async def _sweep_leases(plane: ControlPlane) -> None:
    await edge_rules.sweep_leases(plane)
    await acknowledgements.sweep_removals(plane)


async def follow_instances(plane: ControlPlane) -> None:
    """Take in what other instances have changed."""
    async with plane.store.read() as session:
        await plane.publication.catch_up(session)
        await plane.directory.catch_up(session)
        plane.newest_purge = await purge_queries.newest_id(session)
        plane.newest_fast_open_key = await fast_open_key_queries.newest_id(session)


@contextlib.asynccontextmanager
async def _run_background(plane: ControlPlane) -> AsyncIterator[None]:
    """What runs beside the requests."""
    works = [
        _repeat_forever(plane.rules.lease_seconds / 20, lambda: _sweep_leases(plane)),
        _repeat_forever(PRUNE_INTERVAL, lambda: retention.prune(plane)),
    ]
    if plane.sharing:
        works.append(_repeat_forever(FOLLOW_INTERVAL, lambda: follow_instances(plane)))
        works.append(
            _repeat_forever(
                min(1.0, plane.rules.lease_seconds / 10), lambda: edge_rules.exchange_heartbeats(plane)
            )
        )
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def create_app(
    state: Path,
    admin_token: str,
    rules: Rules | None = None,
    clock: Clock | None = None,
    *,
    database: str | None = None,
    sweeping: bool = True,
) -> FastAPI:
    """Create the application; its lifespan opens the state. Without `sweeping` the caller ends leases.

    `database` is the URL of a PostgreSQL; without it, SQLite in the state folder.
    """
    rules = rules or Rules()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_plane(state, admin_token, rules, clock or SystemClock(), database) as plane:
            app.state.plane = plane
            log.info("open", extra={"state": str(state), "generation": plane.watch.generation})
            await retention.prune(plane)
            async with _run_background(plane) if sweeping else contextlib.nullcontext():
                yield
                plane.watch.close()

    app = FastAPI(
        title="Sennit control plane",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_unknown)],
    )
    problems.install(app)
    openapi.install(app)
    app.add_middleware(BodyLimit)
    for part in (
        edges,
        sites,
        vips,
        enrolment_tokens,
        tokens,
        login,
        audit,
        table,
        purges,
        fast_open_keys,
        metrics,
        trace,
        page,
    ):
        app.include_router(part.router)
    app.add_api_route(
        "/v1/health", show_health, tags=["health"], name="show_health", responses=problems.refusal_responses()
    )
    return app


async def show_health(plane: Plane) -> HealthView:
    """Say whether the control plane works; needs no token."""
    async with plane.store.read() as session:
        await edge_queries.list_page(session, 0, 1)
    return HealthView(status="ok", generation=plane.watch.generation)
