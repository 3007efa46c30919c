"""A real `sennit control` on loopback that can be killed and started again, and edges that follow it."""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_process import EdgeProcess, edge_process
from free_ports import free_port
from published_edge import ALLOW_LOOPBACK

from balancer.agent.sync.service_follower import ServiceSync
from balancer.api.client import ApiError, Unreachable
from balancer.api.schemas import EnrolmentTokenRequest, EnrolRequest, VipBody
from balancer.api.services_client import ServicesClient
from balancer.control.storage.database import SIGNING_KEY
from node.state.catalogue import SERVICES
from node.state.table_key import pin_table_key
from services.stored_changes import ServiceWriter, read_services

ADMIN = "the-admin-token-of-this-test"


@dataclass
class ControlProcess:
    """The control plane, on SQLite in `folder` or on the PostgreSQL of the URL `database`."""

    folder: Path
    port: int = field(default_factory=free_port)
    database: str | None = None
    lease_seconds: float = 60
    process: asyncio.subprocess.Process | None = None

    def client(self, token: str = ADMIN) -> ServicesClient:
        return ServicesClient(
            f"http://127.0.0.1:{self.port}", token, timeout=60
        )  # a busy machine is no fault

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "admin").write_text(ADMIN)
        flags = ["--state", self.folder, "--admin-token-file", self.folder / "admin"]
        flags += ["--lease-seconds", f"{self.lease_seconds:g}"]
        if self.database is not None:
            flags += ["--database", self.database]
        with (self.folder / "control.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(Path(sys.executable).with_name("sennit"), "control", "--listen", f"127.0.0.1:{self.port}"),
                *flags,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(120), self.client() as client:
            while True:
                assert self.process.returncode is None, (self.folder / "control.log").read_text()
                with contextlib.suppress(Unreachable, ApiError):
                    await client.vips()
                    return
                await asyncio.sleep(0.02)

    def copy_key(self, other: "ControlProcess") -> None:
        """Give it the signing key of another instance, before it starts."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / SIGNING_KEY).write_bytes((other.folder / SIGNING_KEY).read_bytes())

    async def kill(self) -> None:
        """Kill it where it stands (SIGKILL)."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def enrol(self, number: int, site: str = "a") -> str:
        """Enrol an edge; return its credential."""
        credential = f"credential-of-edge-{number}"
        async with self.client() as client:
            if number == 1:
                await client.add_vip(VipBody.model_validate({"name": "main", "v4": "203.0.113.1"}))
            token = await client.create_enrolment_token(EnrolmentTokenRequest())
        digest = hashlib.sha256(credential.encode()).hexdigest()
        body = {
            "name": f"edge{number}",
            "site": site,
            "tunnel_v4": f"10.0.0.{number}",
            "credential_sha256": digest,
        }
        async with self.client(token.token) as client:
            await client.enrol(EnrolRequest.model_validate(body))
        return credential


@asynccontextmanager
async def control_process(folder: Path) -> AsyncIterator[ControlProcess]:
    """Run a control plane."""
    made = ControlProcess(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.kill()


@asynccontextmanager
async def following_edge(
    folder: Path, control: ControlProcess, number: int, *options: str
) -> AsyncIterator[EdgeProcess]:
    """Run an edge with the services that the control plane publishes, handed over by the agent's code."""
    credential = await control.enrol(number)
    state = folder / "state"
    SERVICES.create_folder(state)
    async with control.client() as admin:
        key = await admin.table_key()
    pin_table_key(state, key)
    writer = ServiceWriter(state)
    sync = ServiceSync(
        lambda: read_services(state, (key,)),
        lambda fresh: fresh.verify(key),
        writer.store,
        writer.is_stored,
    )
    async with control.client(credential) as client:
        following = asyncio.create_task(sync.follow(client))
        try:
            async with edge_process(folder, *ALLOW_LOOPBACK, *options) as edge:
                yield edge
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
