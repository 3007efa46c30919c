"""Moments with a boot id, and the contact that the forwarder reads."""

import time
from pathlib import Path

import pytest

from node.state import boot_clock
from node.state.boot_clock import BOOT_ID_VARIABLE, BootMoment, current_boot_id
from node.state.catalogue import CONTACT
from node.state.signs import contact_age, write_contact


@pytest.fixture(autouse=True)
def forget_boot_id() -> None:
    current_boot_id.cache_clear()


def test_a_unit_gives_the_same_id_as_the_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "boot_id").write_text("5f0c1a7e-9d2b-4c68-a1e3-f5b7092d4e6f\n")
    monkeypatch.setattr(boot_clock, "BOOT_ID_FILE", tmp_path / "boot_id")
    monkeypatch.delenv(BOOT_ID_VARIABLE, raising=False)
    from_kernel = current_boot_id()
    current_boot_id.cache_clear()
    monkeypatch.setattr(boot_clock, "BOOT_ID_FILE", tmp_path / "hidden")
    monkeypatch.setenv(BOOT_ID_VARIABLE, "5f0c1a7e9d2b4c68a1e3f5b7092d4e6f")
    assert current_boot_id() == from_kernel == "5f0c1a7e9d2b4c68a1e3f5b7092d4e6f"
    current_boot_id.cache_clear()


def test_time_goes_on_within_a_boot_and_is_infinite_across_two() -> None:
    now = BootMoment.now()
    assert 0 <= now.elapsed() < 60
    assert BootMoment(now.boot_id, now.at - 100).elapsed() >= 100
    assert BootMoment("0" * 32, now.at).elapsed() == float("inf")
    assert BootMoment(now.boot_id, now.at + 1000).elapsed() == float("inf")


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_contact_keeps_its_age_when_the_wall_clock_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    assert contact_age(tmp_path) is None
    write_contact(tmp_path)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    age = contact_age(tmp_path)
    assert age is not None
    assert 0 <= age < 60


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"boot_id": 7, "at": 1}', '{"boot_id": "", "at": "x"}'])
def test_an_invalid_contact_is_none_that_counts(tmp_path: Path, text: str) -> None:
    CONTACT.write_text(tmp_path, text)
    assert contact_age(tmp_path) == float("inf")
