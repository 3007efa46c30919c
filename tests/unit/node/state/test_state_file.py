"""A file of the state folder is replaced whole, read whole, and refused where it has another form."""

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from node.state import state_file
from node.state.catalogue import ALL, APPLIED, CREDENTIAL, PURGES, SHIELD
from node.state.forwarder import read_applied_generation, write_applied_generation
from node.state.purges import Purge, read_purges, write_purges
from node.state.state_file import FileWatch, StateFileInvalid


def test_each_file_has_one_entry() -> None:
    assert len({file.name for file in ALL}) == len(ALL)


def test_a_file_is_written_with_its_mode_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for number in range(3):
        CREDENTIAL.write_object(tmp_path, {"edge_id": number})
        APPLIED.write_object(tmp_path, {"generation": number})
        SHIELD.write_object(tmp_path, {"key": "", "sites": {}})
    written = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert written == {
        "agent": 0o750,
        "agent/credential.json": 0o600,
        "agent-edge": 0o750,
        "agent-edge/shield.json": 0o640,
        "forwarder": 0o750,
        "forwarder/applied.json": 0o640,
    }


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused_with_the_file_s_name(tmp_path: Path, content: bytes) -> None:
    APPLIED.create_folder(tmp_path)
    APPLIED.path_in(tmp_path).write_bytes(content)
    with pytest.raises(StateFileInvalid, match=r"applied\.json"):
        APPLIED.read_object(tmp_path)
    assert APPLIED.find_object(tmp_path) is None
    assert read_applied_generation(tmp_path) is None


def test_a_file_beyond_the_bound_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "SIZE_LIMIT", 100)
    APPLIED.write_text(tmp_path, '{"generation": 1}' + " " * 83)
    assert read_applied_generation(tmp_path) == 1
    APPLIED.write_text(tmp_path, '{"generation": 1}' + " " * 84)
    with pytest.raises(StateFileInvalid, match="more than 100 bytes"):
        APPLIED.read_object(tmp_path)


def test_a_replaced_file_is_seen_once(tmp_path: Path) -> None:
    watch = FileWatch(APPLIED, tmp_path)
    assert not watch.has_changed()
    write_applied_generation(tmp_path, 1)
    assert [watch.has_changed(), watch.has_changed()] == [True, False]
    write_applied_generation(tmp_path, 1)
    assert watch.has_changed()
    watch.forget_version()
    assert watch.has_changed()
    APPLIED.path_in(tmp_path).unlink()
    assert not watch.has_changed()


def test_purges_are_read_in_the_order_of_their_ids(tmp_path: Path) -> None:
    purges = [Purge(2, None, "front", 2.0), Purge(1, "https://cdn.example/a", None, 1.0)]
    write_purges(tmp_path, purges)
    assert read_purges(tmp_path) == [purges[1], purges[0]]


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", '{"purges": 1}', '{"purges": [{}]}', '{"purges": [{"id": 1, "url": 2}]}']
)
def test_what_is_no_list_of_purges_is_refused(tmp_path: Path, text: str) -> None:
    PURGES.write_text(tmp_path, text)
    with pytest.raises(StateFileInvalid, match=r"purges\.json"):
        read_purges(tmp_path)


def test_a_link_is_neither_followed_by_the_reader_nor_by_the_writer(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text('{"generation": 7}')
    APPLIED.create_folder(tmp_path)
    APPLIED.path_in(tmp_path).symlink_to(target)
    with pytest.raises(OSError, match=r"applied\.json"):
        APPLIED.read_object(tmp_path)
    assert read_applied_generation(tmp_path) is None
    write_applied_generation(tmp_path, 1)
    assert target.read_text() == '{"generation": 7}'
    assert read_applied_generation(tmp_path) == 1


def test_a_folder_or_link_of_a_predictable_name_stops_no_writer(tmp_path: Path) -> None:
    for name in ("applied.json.new", ".applied.json", "applied.json.tmp"):
        (tmp_path / "forwarder" / name).mkdir(parents=True)
    write_applied_generation(tmp_path, 1)
    assert read_applied_generation(tmp_path) == 1


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    APPLIED.create_folder(tmp_path)
    os.mkfifo(APPLIED.path_in(tmp_path))
    with pytest.raises(StateFileInvalid, match="not a regular file"):
        APPLIED.read_object(tmp_path)
    APPLIED.path_in(tmp_path).unlink()
    APPLIED.path_in(tmp_path).mkdir()
    assert read_applied_generation(tmp_path) is None


def test_a_file_of_another_owner_than_its_writer_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_applied_generation(tmp_path, 7)
    owner = os.geteuid()
    monkeypatch.setattr(state_file, "trusted_owners", lambda writer: frozenset((owner + 1,)))
    with pytest.raises(StateFileInvalid, match=f"owned by user id {owner}, not by its writer"):
        APPLIED.read_object(tmp_path)
    assert read_applied_generation(tmp_path) is None
    monkeypatch.setattr(state_file, "trusted_owners", lambda writer: frozenset((owner,)))
    assert read_applied_generation(tmp_path) == 7


def test_owners_are_those_of_the_users_that_the_package_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    users = (Path(__file__).parents[4] / "packaging" / "systemd" / "sysusers.conf").read_text()
    for daemon in state_file.Daemon:
        assert f"\nu sennit-{daemon.value} " in users
    state_file.trusted_owners.cache_clear()
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=901))
    assert state_file.trusted_owners(state_file.Daemon.EDGE) == {901, 0, os.geteuid()}

    def unknown(name: str) -> None:
        raise KeyError(name)

    state_file.trusted_owners.cache_clear()
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    assert state_file.trusted_owners(state_file.Daemon.EDGE) is None
    state_file.trusted_owners.cache_clear()


@pytest.mark.parametrize("unit", ["agent", "edge", "forwarder-load", "forwarder", "probe-namespace", "probe"])
def test_units_see_the_users_of_the_host(unit: str) -> None:
    """With PrivateUsers=yes the other daemons' files would seem to be owned by user id 65534."""
    text = (Path(__file__).parents[4] / "packaging" / "systemd" / f"sennit-{unit}.service").read_text()
    assert "\nUser=sennit-" in text
    assert "PrivateUsers=yes" not in text
