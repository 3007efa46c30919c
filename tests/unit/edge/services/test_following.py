"""The file of services is followed: verified, in force at once, and a fault leaves what was in force."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from many_services import KEY, NoOrigins, publish_service, sign_generation

from edge.server.status.applied_services import combine_applied, report_applied
from edge.services.catalogue import Misdirected
from edge.services.directory import ServiceDirectory
from edge.services.following import ServiceFollower
from node.state.catalogue import SERVICES, SERVICES_APPLIED
from node.state.table_key import TABLE_KEY_VARIABLE, pin_table_key
from services.published import EPOCH_SHIFT, PublishedService
from services.published_file import read_applied_services, store_services


@asynccontextmanager
async def followed(state: Path) -> AsyncIterator[ServiceDirectory]:
    """A directory that follows the file, and reports what is in force."""
    directory = ServiceDirectory(NoOrigins)
    follower = ServiceFollower(state, directory)
    await follower.load_first()
    tasks = [
        asyncio.create_task(follower.follow_file()),
        asyncio.create_task(
            report_applied(state, lambda: combine_applied([{"services": directory.facts()}]))
        ),
    ]
    try:
        yield directory
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await directory.close()


async def reach_generation(directory: ServiceDirectory, state: Path, number: int) -> None:
    async with asyncio.timeout(10):
        while directory.current.generation != number:
            await asyncio.sleep(0.01)
        while SERVICES_APPLIED.version_in(state) is None or read_applied_services(state).generation != number:
            await asyncio.sleep(0.01)


def publish(state: Path, number: int, *services: PublishedService) -> None:
    store_services(state, sign_generation(number, *services))


async def test_without_a_file_one_service_owns_every_name(tmp_path: Path) -> None:
    async with followed(tmp_path) as directory:
        assert directory.current.select_http("a.example", "b.example").name == ""
        pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
        publish(tmp_path, 1, publish_service("shop"))
        await reach_generation(directory, tmp_path, 1)
        assert directory.current.find_service("b.example") is None
        publish(tmp_path, 2)
        await reach_generation(directory, tmp_path, 2)
        assert directory.current.find_service("shop.example") is None


@pytest.mark.parametrize("placed", [False, True], ids=["pinned key", "root's key"])
async def test_a_managed_node_that_lost_its_file_serves_nothing_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, placed: bool
) -> None:
    if placed:
        monkeypatch.setenv(TABLE_KEY_VARIABLE, str(tmp_path / "away"))
    else:
        pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
    async with followed(tmp_path) as directory:
        with pytest.raises(Misdirected):
            directory.current.select_http("", "b.example")
        assert "no services.json" in directory.facts()["fault"]
        monkeypatch.delenv(TABLE_KEY_VARIABLE, raising=False)
        pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
        publish(tmp_path, 1, publish_service("shop"))
        await reach_generation(directory, tmp_path, 1)
        assert directory.current.find_service("shop.example") is not None
        assert directory.facts()["fault"] == ""


# 0, and the start of an epoch: signed anew with another key, or after the database went back
@pytest.mark.parametrize("number", [0, 7 << EPOCH_SHIFT])
async def test_nothing_ever_published_is_as_no_file(tmp_path: Path, number: int) -> None:
    pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
    publish(tmp_path, number)
    async with followed(tmp_path) as directory:
        assert directory.current.select_http("", "b.example").name == ""
        publish(tmp_path, number + 1)
        await reach_generation(directory, tmp_path, number + 1)
        with pytest.raises(Misdirected):  # something was published, and is gone again
            directory.current.select_http("", "b.example")


async def test_a_signature_made_anew_leaves_the_default_service_in_force(tmp_path: Path) -> None:
    pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
    publish(tmp_path, 0)
    async with followed(tmp_path) as directory:
        before = directory.current
        SERVICES.write_text(tmp_path, "{}")
        async with asyncio.timeout(10):
            while not directory.fault:
                await asyncio.sleep(0.01)
        publish(tmp_path, 7 << EPOCH_SHIFT)
        async with asyncio.timeout(10):
            while directory.fault:
                await asyncio.sleep(0.01)
        assert directory.current is before


@pytest.mark.parametrize("fault", ["forged", "no key", "damaged"])
async def test_a_file_that_cannot_be_verified_serves_nothing_at_a_start(tmp_path: Path, fault: str) -> None:
    if fault != "no key":
        pin_table_key(tmp_path, bytes(32) if fault == "forged" else KEY.public_key().public_bytes_raw())
    publish(tmp_path, 1, publish_service("shop"))
    if fault == "damaged":
        SERVICES.write_text(tmp_path, "{}")
    async with followed(tmp_path) as directory:
        assert directory.fault
        assert directory.current.find_service("shop.example") is None
        assert directory.current.find_service("other.example") is None


async def test_a_file_that_cannot_be_verified_changes_nothing_later(tmp_path: Path) -> None:
    pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
    publish(tmp_path, 1, publish_service("shop"))
    async with followed(tmp_path) as directory:
        before = directory.current
        SERVICES.write_text(tmp_path, SERVICES.read_text(tmp_path).replace("origin.example", "evil.example"))
        async with asyncio.timeout(10):
            while not directory.fault:
                await asyncio.sleep(0.01)
        assert directory.current is before
        publish(tmp_path, 2, publish_service("shop", 2))
        await reach_generation(directory, tmp_path, 2)
        assert not directory.fault


async def test_what_an_edge_refuses_is_reported_and_kept_across_a_restart(tmp_path: Path) -> None:
    pin_table_key(tmp_path, KEY.public_key().public_bytes_raw())
    good = publish_service("shop")
    publish(tmp_path, 1, good)
    async with followed(tmp_path) as directory:
        publish(tmp_path, 2, publish_service("shop", 2, cache=[{"path": "x"}]))
        await reach_generation(directory, tmp_path, 2)
    (refused,) = read_applied_services(tmp_path).refused
    assert (refused.name, refused.revision, refused.kept) == ("shop", 2, good)
    assert refused.reason.startswith("cache.0.path")
    async with followed(tmp_path) as directory:
        assert directory.current.services["shop"].revision == 1
