"""The application: its parts, put together and taken apart in order."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.schemas import HealthView
from balancer.control.access.enrolment_tokens import endpoints as enrolment_tokens
from balancer.control.access.login import endpoints as login
from balancer.control.access.tokens import endpoints as tokens
from balancer.control.audit import endpoints as audit
from balancer.control.audit import retention
from balancer.control.authentication.authenticator import Authenticator
from balancer.control.authentication.caller import sha256_hex
from balancer.control.clock import Clock, SystemClock
from balancer.control.edges import endpoints as edges
from balancer.control.edges.enrolment import EnrolmentService
from balancer.control.edges.heartbeats import HeartbeatService
from balancer.control.edges.memory import EdgeMemory
from balancer.control.edges.service import EdgeService
from balancer.control.fast_open_keys import endpoints as fast_open_keys
from balancer.control.fast_open_keys import repository as fast_open_key_queries
from balancer.control.figures import endpoints as figures
from balancer.control.figures.rings import FigureRings
from balancer.control.grants.book import GrantBook
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.health.board import HealthBoard
from balancer.control.health.lease_sharing import LeaseSharing
from balancer.control.health.leases import Leases
from balancer.control.http import openapi, problems
from balancer.control.http.body_limit import BodyLimit
from balancer.control.http.parts import StorePart, install_parts
from balancer.control.http.query import refuse_unknown
from balancer.control.metrics import endpoints as metrics
from balancer.control.metrics.collector import ControlMetrics
from balancer.control.newest import NewestIds
from balancer.control.origins import endpoints as origins
from balancer.control.origins.board import OriginBoard
from balancer.control.overview import endpoints as overview
from balancer.control.overview.edges import EdgeOverview
from balancer.control.overview.services import ServiceOverview
from balancer.control.page import endpoints as page
from balancer.control.plane import ControlPlane
from balancer.control.purges import endpoints as purge_endpoints
from balancer.control.purges import repository as purge_queries
from balancer.control.purges.watch import PURGES_KEPT, PurgeWatch
from balancer.control.registry import edges as edge_queries
from balancer.control.registry.directory import EdgeDirectory
from balancer.control.rules import ControlRules
from balancer.control.services import endpoints as services
from balancer.control.services import secret_endpoints
from balancer.control.services.published import endpoints as published_services
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.services.published.live import LiveServices
from balancer.control.services.published.lost import check_lost_services
from balancer.control.services.published.publication import ServicePublication
from balancer.control.services.published.shield_sites import ShieldCatalogue
from balancer.control.services.rollout import endpoints as rollout
from balancer.control.services.rollout.engine import RolloutEngine
from balancer.control.services.rollout.signs import EdgeSigns
from balancer.control.services.sealing import SecretSeal
from balancer.control.sites import endpoints as sites
from balancer.control.storage.database import database_url, migrate_schema
from balancer.control.storage.store import Store
from balancer.control.table import acknowledgements
from balancer.control.table import endpoints as table
from balancer.control.table.epoch import check_lost_generations, check_restore
from balancer.control.table.known_keys import KnownKeys
from balancer.control.table.live import LiveTable
from balancer.control.table.publication import Publication
from balancer.control.table.signing_key import SigningKeys, agreed_keys, keys_to_replace
from balancer.control.table.timestamps import TimestampSigner
from balancer.control.table.watch import TableWatch, WatchPart
from balancer.control.table_key import endpoints as table_key
from balancer.control.table_key.rotation import KeyRotation
from balancer.control.trace import endpoints as trace
from balancer.control.vips import endpoints as vips

log = logging.getLogger(__name__)

FOLLOW_INTERVAL = 0.2  # seconds between looks at what other instances have published
PRUNE_INTERVAL = 3600.0  # seconds between looks for what the audit log need not keep


@contextlib.asynccontextmanager
async def open_plane(
    state: Path,
    admin_token: str,
    rules: ControlRules,
    clock: Clock,
    database: str | None,
    *,
    replaces_key: bool = False,
) -> AsyncIterator[ControlPlane]:
    """Open the state folder and the database, and publish the stored table.

    With `replaces_key` the signing key may be lost: until the caller has replaced it, nothing signed is of use.
    """
    await asyncio.to_thread(state.mkdir, parents=True, exist_ok=True)
    url = database_url(state, database)
    store = Store(state, url, clock)
    sharing = LeaseSharing(store.engine, clock, rules.lease_seconds) if store.shared else None
    try:
        await asyncio.to_thread(migrate_schema, url)
        keys = await (keys_to_replace if replaces_key else agreed_keys)(store, state)
        yield await _assemble_plane(store, sharing, keys, sha256_hex(admin_token), rules)
    finally:
        if sharing:
            await sharing.close()
        await store.close()


async def _assemble_plane(
    store: Store,
    sharing: LeaseSharing | None,
    keys: SigningKeys,
    admin_sha256: str,
    rules: ControlRules,
) -> ControlPlane:
    """Load what is stored, and create the services."""
    seconds, clock = rules.lease_seconds, store.clock
    leases, directory, newest = Leases(clock, seconds), EdgeDirectory(), NewestIds()
    watch, seal = TableWatch(LiveTable(keys)), SecretSeal(keys)
    purges = PurgeWatch()
    publication = Publication(clock, watch, shared=store.shared)
    services = ServicePublication(clock, LiveServices(keys), watch, seal, shared=store.shared)
    async with store.read() as session:
        leases.grant_grace(await edge_queries.alive_ids(session))
        await directory.catch_up(session)
        await publication.load(session)
        await services.load(session)
        await load_newest(session, newest, purges)
    memory = EdgeMemory(
        leases,
        HealthBoard(clock, leases),
        Acknowledgements(clock, seconds, watch.current),
        GrantBook(clock, leases, seconds, rules.minimum_healthy),
        watch,
        ServiceAcknowledgements(services.live),
        purges,
        FigureRings(clock),
        OriginBoard(clock),
        KnownKeys(),
    )
    rollouts = RolloutEngine(store, clock, services, EdgeSigns(directory, leases))
    store.committed = directory.committed
    store.publishers = keys.publish, publication.publish, services.publish
    await check_restore(store, publication)
    return ControlPlane(
        rules=rules,
        store=store,
        leases=leases,
        sharing=sharing,
        directory=directory,
        health=memory.health,
        acknowledgements=memory.acknowledgements,
        grants=memory.grants,
        watch=watch,
        publication=publication,
        newest=newest,
        purges=purges,
        figures=memory.figures,
        origins=memory.origins,
        seal=seal,
        services=services,
        shield=ShieldCatalogue(keys, services.live, directory, watch),
        service_acknowledgements=memory.services,
        rollouts=rollouts,
        authenticator=Authenticator(store, directory, admin_sha256),
        enrolments=EnrolmentService(store, rules, memory, watch),
        edges=EdgeService(store, memory),
        edge_overview=EdgeOverview(store, directory, memory, clock),
        service_overview=ServiceOverview(store, memory.services, memory.figures),
        heartbeats=HeartbeatService(store, memory, directory, sharing, watch, newest, rollouts, seconds),
        metrics=ControlMetrics(publication, memory.acknowledgements, leases, memory.grants, newest),
        keys=keys,
        key_rotation=KeyRotation(store, keys, memory.keys),
        timestamps=TimestampSigner(clock, keys, watch.live, lambda: services.live.generation, newest),
    )


async def load_newest(session: AsyncSession, newest: NewestIds, purges: PurgeWatch) -> None:
    """Read the newest purges and ids, which other instances may have raised."""
    records = await purge_queries.list_purges(session, purges.newest, PURGES_KEPT)
    purges.add_purges(map(purge_endpoints.purge_view, records))
    newest.purge = purges.newest
    newest.fast_open_key = await fast_open_key_queries.newest_id(session)


async def _repeat_forever(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Call `work` every `seconds` until cancelled; a failure is logged, and retried."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            log.exception("background work failed, will be retried")


async def sweep_plane(plane: ControlPlane) -> None:
    """End expired leases, start the quarantine of freed ids, notice a database that went back."""
    await plane.heartbeats.sweep_leases()
    oldest = plane.acknowledgements.oldest_applied(plane.watch.generation)
    await acknowledgements.sweep_removals(plane.store, oldest)
    await check_lost_generations(plane.store, plane.publication, plane.acknowledgements)
    await check_lost_services(plane.store, plane.services, plane.service_acknowledgements)
    await plane.rollouts.watch_rollouts(leads=plane.sharing is None or plane.sharing.leads)


async def follow_instances(plane: ControlPlane) -> None:
    """Load what other instances have changed."""
    async with plane.store.read() as session:
        await plane.keys.catch_up(session)
        await plane.publication.catch_up(session)
        await plane.services.catch_up(session)
        await plane.directory.catch_up(session)
        await load_newest(session, plane.newest, plane.purges)


@contextlib.asynccontextmanager
async def _run_background(plane: ControlPlane) -> AsyncIterator[None]:
    """Run the periodic work beside the requests."""
    seconds = plane.rules.lease_seconds
    works = [
        _repeat_forever(seconds / 20, lambda: sweep_plane(plane)),
        _repeat_forever(PRUNE_INTERVAL, lambda: retention.prune(plane.store, plane.rules.audit_retention)),
    ]
    if plane.sharing:
        works.append(_repeat_forever(FOLLOW_INTERVAL, lambda: follow_instances(plane)))
        works.append(_repeat_forever(min(1.0, seconds / 10), plane.heartbeats.exchange_heartbeats))
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
    rules: ControlRules | None = None,
    clock: Clock | None = None,
    *,
    database: str | None = None,
    sweeping: bool = True,
) -> FastAPI:
    """Create the application; its lifespan opens the state. Without `sweeping` the caller ends leases.

    `database` is the URL of a PostgreSQL; without it, SQLite in the state folder.
    """
    rules = rules or ControlRules()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_plane(state, admin_token, rules, clock or SystemClock(), database) as plane:
            app.state.plane = plane
            install_parts(app, plane.parts())
            log.info("open", extra={"state": str(state), "generation": plane.watch.generation})
            await retention.prune(plane.store, rules.audit_retention)
            async with _run_background(plane) if sweeping else contextlib.nullcontext():
                yield
                plane.watch.close()
                plane.purges.close()
                plane.services.waiters.close()

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
    for router in (
        edges.leases,  # the most frequent first: routes are tried in order
        table.polls,
        published_services.polls,
        purge_endpoints.polls,
        edges.router,
        sites.router,
        vips.router,
        enrolment_tokens.router,
        tokens.router,
        login.router,
        audit.router,
        table.router,
        table_key.router,
        purge_endpoints.router,
        figures.router,
        overview.router,
        origins.router,
        fast_open_keys.router,
        services.router,
        secret_endpoints.router,
        published_services.router,
        rollout.router,
        metrics.router,
        trace.router,
        page.router,
    ):
        app.include_router(router)
    app.add_api_route(
        "/v1/health", show_health, tags=["health"], name="show_health", responses=problems.refusal_responses()
    )
    return app


async def show_health(store: StorePart, watch: WatchPart) -> HealthView:
    """Check that the control plane and its database work; needs no token."""
    async with store.read() as session:
        await edge_queries.list_page(session, 0, 1)
    return HealthView(status="ok", generation=watch.generation)
