"""Generations in two files: what is read is what was stored, and a worker's work is in proportion to the change."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

import services.published
from node.state.catalogue import SERVICES, SERVICES_CHANGES
from node.state.state_file import StateFile, StateFileInvalid
from services.published import ForgedServices, PublishedService, ServiceGeneration
from services.stored_changes import CHANGES_PER_WHOLE, ServiceReader, ServiceWriter, read_services

SIGNER = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
KEY = SIGNER.public_key().public_bytes_raw()
MANY = 400


def service(number: int, revision: int = 1) -> PublishedService:
    return PublishedService.of(
        f"s{number:05}", revision, {"kind": "http", "hostnames": [f"{number}.example"]}, {}
    )


def sign(generation: int, found: dict[int, int]) -> ServiceGeneration:
    """Sign services by number and revision."""
    return ServiceGeneration.sign(SIGNER, generation, [service(*each) for each in found.items()])


@given(
    st.lists(
        st.dictionaries(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 3)), max_size=4), max_size=12
    ),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_what_is_read_is_what_was_stored_whichever_generations_a_reader_saw(
    changes: list[dict[int, int | None]], seen: list[bool]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state, found = Path(folder), dict.fromkeys(range(60), 1)
        writer, reader = ServiceWriter(state), ServiceReader(state)
        writer.store(sign(1, found))
        for generation, (change, look) in enumerate(zip(changes, seen, strict=False), 2):
            found |= {number: revision for number, revision in change.items() if revision}
            found = {number: each for number, each in found.items() if change.get(number, 1) is not None}
            made = sign(generation, found)
            writer.store(made)
            if look:
                assert reader.has_changed()
                assert reader.read((KEY,)) == made
                assert not reader.has_changed()
            assert read_services(state, (KEY,)) == made
            assert writer.is_stored()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the bytes that are read and hashed, and the lines that are parsed."""
    counted = {"read": 0, "hashed": 0, "parsed": 0}
    read_text, from_json = StateFile.read_text, PublishedService.from_json

    def counting_read(file: StateFile, state: Path) -> str:
        text = read_text(file, state)
        counted["read"] += len(text)
        return text

    def counting_parse(value: Any) -> PublishedService:
        counted["parsed"] += 1
        return from_json(value)

    class CountingHashes:
        @staticmethod
        def sha256(content: bytes) -> Any:
            counted["hashed"] += len(content)
            return hashlib.sha256(content)

    monkeypatch.setattr(StateFile, "read_text", counting_read)
    monkeypatch.setattr(PublishedService, "from_json", counting_parse)
    monkeypatch.setattr(services.published, "hashlib", CountingHashes)
    return counted


def test_a_worker_reads_parses_and_hashes_what_changed(tmp_path: Path, work: dict[str, int]) -> None:
    writer, reader = ServiceWriter(tmp_path), ServiceReader(tmp_path)
    found = dict.fromkeys(range(MANY), 1)
    writer.store(sign(1, found))
    line = len(service(0).line)
    reader.read((KEY,))
    for generation in (2, 3, 4):
        found[7 * generation] = generation
        made = sign(generation, found)
        writer.store(made)
        work.update(dict.fromkeys(work, 0))
        assert reader.read((KEY,)) == made
        assert work["parsed"] == 1
        assert work["read"] < generation * (line + 200)  # the changes since the whole
        assert work["hashed"] < 32 * MANY + line + 100  # the digests, which the signature is over


def test_the_whole_is_written_anew_once_changes_are_a_share_of_it(
    tmp_path: Path, work: dict[str, int]
) -> None:
    writer, reader = ServiceWriter(tmp_path), ServiceReader(tmp_path)
    found, wholes = dict.fromkeys(range(MANY), 1), 0
    writer.store(sign(1, found))
    reader.read((KEY,))
    for generation in range(2, 2 + MANY):
        version = SERVICES.version_in(tmp_path)
        found[generation % MANY] = generation
        made = sign(generation, found)
        writer.store(made)
        wholes += version != SERVICES.version_in(tmp_path)
        work["parsed"] = 0
        assert reader.read((KEY,)) == made
        assert work["parsed"] <= 1, "also where the whole was written: its other lines are known"
    assert 1 <= wholes <= 2 * CHANGES_PER_WHOLE


def test_a_service_in_the_changes_is_believed_for_the_signature_alone(tmp_path: Path) -> None:
    writer, found = ServiceWriter(tmp_path), dict.fromkeys(range(MANY), 1)
    writer.store(sign(1, found))
    writer.store(sign(2, found | {5: 2}))
    text = SERVICES_CHANGES.read_text(tmp_path)
    SERVICES_CHANGES.write_text(tmp_path, text.replace("5.example", "6.example"))
    with pytest.raises(ForgedServices):
        read_services(tmp_path, (KEY,))
    SERVICES_CHANGES.write_text(tmp_path, "{}")
    with pytest.raises(StateFileInvalid, match=r"services-changes\.json"):
        read_services(tmp_path, (KEY,))


def test_changes_of_another_whole_count_for_nothing(tmp_path: Path) -> None:
    writer, found = ServiceWriter(tmp_path), dict.fromkeys(range(MANY), 1)
    writer.store(sign(1, found))
    writer.store(sign(2, found | {5: 2}))
    left_over = SERVICES_CHANGES.read_text(tmp_path)
    whole = sign(3, {1: 1})
    ServiceWriter(tmp_path).store(whole)  # as an agent that has started again
    assert SERVICES_CHANGES.version_in(tmp_path) is None
    SERVICES_CHANGES.write_text(tmp_path, left_over)  # as one that was killed before it removed them
    assert read_services(tmp_path, (KEY,)) == whole


def test_files_that_are_removed_or_replaced_are_stored_again_whole(tmp_path: Path) -> None:
    writer, found = ServiceWriter(tmp_path), dict.fromkeys(range(MANY), 1)
    writer.store(sign(1, found))
    changed = sign(2, found | {5: 2})
    writer.store(changed)
    SERVICES_CHANGES.path_in(tmp_path).unlink()
    assert not writer.is_stored()
    writer.store(changed)
    assert read_services(tmp_path, (KEY,)) == changed
    SERVICES.path_in(tmp_path).unlink()
    assert not writer.is_stored()
    writer.store(changed)
    assert read_services(tmp_path, (KEY,)) == changed
    assert SERVICES_CHANGES.version_in(tmp_path) is None
