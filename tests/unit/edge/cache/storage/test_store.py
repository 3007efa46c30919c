"""The store: bounded, shared between workers, and whole after crashes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.body_files import BodyFile, remove_orphans
from edge.cache.storage.index_schema import _exclusive_lock, open_index
from edge.cache.storage.index_writer import VARIANTS_LIMIT
from edge.cache.storage.purge_scope import PurgeScope
from edge.cache.storage.store import INLINE_BODY_LIMIT, ResponseStore


def entry(key: str, size: int, *, variant: str = "", **headers: str) -> StoredResponse:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    body = bytes(size) if size <= INLINE_BODY_LIMIT else None
    return StoredResponse(key, (("a", variant),) if variant else (), 200, named, 1.0, 1.0, size, body=body)


async def put(
    store: ResponseStore, key: str, size: int, *, tags: tuple[str, ...] = (), variant: str = ""
) -> bool:
    made = entry(key, size, variant=variant, cache_control="max-age=60")
    if size <= INLINE_BODY_LIMIT:
        return await store.insert(made, None, tags)
    file = store.body_file()
    file.write(bytes(size))
    made.file = file.name
    kept = await store.insert(made, file, tags)
    file.close()
    return kept


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ResponseStore]:
    made = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    yield made
    made.close()


async def test_it_is_bounded_and_the_least_recently_used_goes_first(
    store: ResponseStore, tmp_path: Path
) -> None:
    for key in "abcd":
        await put(store, key, 200_000)
    found = store.find("a", {})
    assert found is not None
    store._writer.record_use([found.id])
    for key in "ef":
        await put(store, key, 200_000)
    assert [key for key in "abcdef" if store.find(key, {})] == ["a", "d", "e", "f"]
    assert store.size <= 1_000_000
    assert sum(path.stat().st_size for path in tmp_path.glob("*.body")) == 800_000


async def test_its_size_is_a_running_number_that_stays_right(store: ResponseStore) -> None:
    for n in range(300):
        await put(store, f"k{n % 70}", 10 + n * 300 % 90_000)
    await store.remove("k3")
    rows = store._reader.execute("SELECT coalesce(sum(cost), 0) FROM entry").fetchone()
    assert store.size == rows[0] <= 1_000_000


async def test_many_empty_responses_are_bounded_too(store: ResponseStore) -> None:
    for n in range(3000):
        await put(store, f"k{n}", 0)
    count = store._reader.execute("SELECT count(*) FROM entry").fetchone()[0]
    assert count < 2000


async def test_the_variants_of_one_url_are_bounded(store: ResponseStore) -> None:
    for n in range(VARIANTS_LIMIT * 2):
        await put(store, "k", 10, variant=str(n))
    assert len(store.load("k")) == VARIANTS_LIMIT
    assert store.find("k", {"a": str(VARIANTS_LIMIT * 2 - 1)}) is not None
    assert store.find("k", {"a": "0"}) is None


async def test_memory_is_bounded(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, 50_000_000, 1_000_000, memory_limit=200_000)
    for n in range(100):
        await put(store, f"k{n}", 20_000)
        assert store.find(f"k{n}", {}) is not None
    assert 0 < store._memory.bytes <= 200_000
    assert store.find("k0", {}) is not None
    store.close()


async def test_a_restart_finds_what_was_stored_and_removes_what_a_crash_left(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    await put(store, "small", 100)
    await put(store, "large", 200_000)
    store.close()
    (tmp_path / "deadbeef.body").write_bytes(b"half")
    again = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    small, large = again.find("small", {}), again.find("large", {})
    assert small is not None
    assert small.body == bytes(100)
    assert large is not None
    with again.open(large) as file:
        assert file.read() == bytes(200_000)
    assert len(list(tmp_path.glob("*.body"))) == 1
    again.close()


async def test_a_body_that_another_worker_is_writing_is_left_alone(
    store: ResponseStore, tmp_path: Path
) -> None:
    file = store.body_file()
    file.write(b"on its way")
    ResponseStore(tmp_path, 1_000_000, 1_000_000).close()
    assert file.path.exists()
    file.close()
    ResponseStore(tmp_path, 1_000_000, 1_000_000).close()
    assert not file.path.exists()


async def test_an_index_that_cannot_be_read_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database" * 1000)
    store = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    assert await put(store, "a", 100)
    store.close()


async def test_what_one_worker_changes_the_others_hear_of(store: ResponseStore, tmp_path: Path) -> None:
    other = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    await put(store, "a", 100)
    assert other.find("a", {}) is not None
    await store.remove("a")
    assert other.find("a", {}) is None
    assert await put(store, "a", 100)
    assert other.find_in_memory("a", {}) is None
    assert other.find("a", {}) is not None
    await store.invalidate(["a"])
    assert other.find_in_memory("a", {}) is None
    assert other.find("a", {}) is None
    other.close()


async def test_what_an_older_release_changes_is_noticed_without_the_number(
    store: ResponseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store._writer, "_publish_change_number", lambda number: None)
    other = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    await put(store, "a", 100)
    assert other.find("a", {}) is not None
    await store.remove("a")
    assert other.find("a", {}) is not None
    other.apply_invalidations()
    assert other.find("a", {}) is None
    other.close()


@pytest.mark.parametrize(("keys", "tags"), [(["a"], []), ([], ["t"])])
async def test_a_purge_keeps_out_what_another_worker_is_being_given(
    store: ResponseStore, tmp_path: Path, keys: list[str], tags: list[str]
) -> None:
    other = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    since = other.last_change
    await store.purge(1, PurgeScope(tuple(keys), tuple(tags)))
    assert not await other.insert(entry("a", 1), None, ["t"], since)
    assert other.find("a", {}) is None
    assert await other.insert(entry("a", 1), None, ["t"], other.last_change)
    other.close()


async def test_a_worker_that_has_missed_part_of_the_log_forgets_everything(
    store: ResponseStore, tmp_path: Path
) -> None:
    other = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    unknown: list[str] = []
    other.watch_invalidations(unknown.append, lambda: unknown.append("everything"))
    await put(store, "a", 100)
    assert other.find("a", {}) is not None
    await store.invalidate(["a"])
    store._writer._index.execute("DELETE FROM gone")
    assert other.find_in_memory("a", {}) is None
    assert unknown == ["everything"]
    other.close()


async def test_a_purge_takes_effect_once_by_url_and_by_tag(store: ResponseStore, tmp_path: Path) -> None:
    await put(store, "a", 100, tags=("news", "front"))
    await put(store, "b", 100, tags=("news",))
    await put(store, "c", 100)
    assert await store.purge(3, PurgeScope(tags=("news",))) == 2
    assert [key for key in "abc" if store.find(key, {})] == ["c"]
    assert await store.purge(4, PurgeScope(("c",))) == 1
    await put(store, "c", 100)
    assert await store.purge(4, PurgeScope(("c",))) is None
    store.close()
    again = ResponseStore(tmp_path, 1_000_000, 1_000_000)
    assert again.last_purge == 4
    assert await again.purge(3, PurgeScope(("c",))) is None
    assert again.find("c", {}) is not None
    again.close()


async def test_a_database_that_is_full_stores_no_more_and_goes_on(store: ResponseStore) -> None:
    await put(store, "a", 60_000)
    pages = store._writer._index.execute("PRAGMA page_count").fetchone()[0]
    store._writer._index.execute(f"PRAGMA max_page_count={pages}")
    assert not await put(store, "b", 60_000)
    assert store.find("a", {}) is not None
    assert await store.remove("a") == 1
    assert await put(store, "b", 50_000)


WRITES = """
import asyncio, hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.body_files import BodyFile, remove_orphans
from edge.cache.storage.index_schema import _exclusive_lock, open_index
from edge.cache.storage.store import ResponseStore

async def main():
    store = ResponseStore(Path(sys.argv[1]), 20_000_000, 5_000_000)
    n = 0
    while True:
        n += 1
        data = os.urandom(1000 if n % 2 else 400_000)
        headers = [("digest", hashlib.sha256(data).hexdigest())]
        made = StoredResponse(f"k{n % 50}", (), 200, headers, 1.0, 1.0, len(data))
        file = None
        if n % 2:
            made.body = data
        else:
            file = store.body_file()
            file.write(data[:200_000])
            file.write(data[200_000:])
            made.file = file.name
        assert await store.insert(made, file, ["t"])
        if file: file.close()
        if n == 20: print("running", flush=True)

asyncio.run(main())
"""


async def test_kill_minus_nine_while_storing_leaves_no_corrupt_object(tmp_path: Path) -> None:
    import hashlib

    for round_ in range(3):
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", WRITES, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[5],
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        await asyncio.sleep(0.02 * round_)  # at another moment each time
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = ResponseStore(tmp_path, 20_000_000, 5_000_000)
        found = [one for n in range(50) for one in store.load(f"k{n}")]
        assert len(found) >= 20
        for one in found:
            if one.body is None:
                with store.open(one) as file:
                    data = file.read()
            else:
                data = one.body
            assert len(data) == one.size
            assert hashlib.sha256(data).hexdigest() == one.fields["digest"]
        rows = store._reader.execute("SELECT sum(cost), count(file) FROM entry").fetchone()
        assert (store.size, len(list(tmp_path.glob("*.body")))) == tuple(rows)
        store.close()


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_workers_that_start_at_once_share_one_index(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index.sqlite"
    for _ in range(10):
        for old in tmp_path.iterdir():
            old.unlink()
        path.write_bytes(content)
        with ThreadPoolExecutor(8) as workers:
            opened = list(workers.map(open_index, [path] * 8))
        opened[0].execute("INSERT INTO gone (key, at) VALUES ('/a', 0)")
        for one in opened:
            assert one.execute("SELECT key FROM gone").fetchall() == [("/a",)]
            one.close()


def test_an_index_that_another_holds_is_waited_for_and_then_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cache.storage.index_schema.LOCK_TIMEOUT", 0.05)
    with _exclusive_lock(tmp_path), pytest.raises(TimeoutError, match="another process"):
        open_index(tmp_path / "index.sqlite")
    open_index(tmp_path / "index.sqlite").close()


def test_a_body_that_was_stored_while_another_worker_started_stays(tmp_path: Path) -> None:
    file = BodyFile(tmp_path)

    def rows() -> set[str]:
        file.close()
        return {file.name}

    assert remove_orphans(tmp_path, lambda: set()) == 0  # it is being written
    assert remove_orphans(tmp_path, rows) == 0
    assert remove_orphans(tmp_path, rows) == 0
    assert file.path.exists()
    assert remove_orphans(tmp_path, lambda: set()) == 1
