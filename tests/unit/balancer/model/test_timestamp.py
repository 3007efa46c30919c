"""Signed timestamps: who may make them, and how old the newest is."""

import base64
import json
import math

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.model.signature import Forged
from balancer.model.timestamp import LIFETIME, Freshness, Timestamp

KEY, NEXT, FORGER = (Ed25519PrivateKey.generate() for _ in range(3))
TRUSTED = tuple(key.public_key().public_bytes_raw() for key in (KEY, NEXT))
NOW = Timestamp(1_780_000_000, LIFETIME, table=12, services=3, purge=7)


@pytest.mark.parametrize("key", [KEY, NEXT])
def test_a_timestamp_of_a_trusted_key_is_opened(key: Ed25519PrivateKey) -> None:
    assert Timestamp.open(NOW.sign(key), TRUSTED) == NOW


def test_nothing_of_a_timestamp_can_be_changed_or_forged() -> None:
    genuine = NOW.sign(KEY)
    content, signature = genuine.split(".")
    later = json.loads(base64.b64decode(content)) | {"at": NOW.at + 60}
    changed = base64.b64encode(json.dumps(later, sort_keys=True, separators=(",", ":")).encode()).decode()
    forged = (
        f"{changed}.{signature}",
        NOW.sign(FORGER),
        genuine[:-4],
        content,
        f"{genuine}.{signature}",
        "",
        "é.é",
        "A" * 2000,
        base64.b64encode(b"[" * 300).decode() + "." + signature,
    )
    for text in forged:
        with pytest.raises(Forged):
            Timestamp.open(text, TRUSTED)


def test_a_timestamp_ages_by_monotonic_time_and_a_replay_makes_it_no_younger() -> None:
    freshness = Freshness()
    assert not freshness.is_fresh(50.0)
    assert freshness.age(50.0) == math.inf
    assert freshness.accept(NOW, wall=NOW.at + 2.0, monotonic=50.0)
    assert freshness.age(60.0) == pytest.approx(12.0)
    assert not freshness.accept(NOW, wall=NOW.at + 100.0, monotonic=148.0), "seen before"
    older = Timestamp(NOW.at - 10, LIFETIME, 11, 3, 7)
    assert not freshness.accept(older, wall=NOW.at + 100.0, monotonic=148.0)
    assert freshness.is_fresh(48.0 + LIFETIME - 1)
    assert not freshness.is_fresh(48.0 + LIFETIME + 1)


def test_an_old_timestamp_at_a_start_is_as_old_as_the_wall_clock_says() -> None:
    freshness = Freshness()
    freshness.accept(NOW, wall=NOW.at + 3600.0, monotonic=1.0)
    assert not freshness.is_fresh(1.0)
    assert freshness.age(2.0) == pytest.approx(3601.0)


def test_a_timestamp_of_the_future_does_not_outlive_the_clock_that_made_it() -> None:
    freshness = Freshness()
    assert not freshness.accept(NOW, wall=NOW.at - LIFETIME - 1.0, monotonic=1.0)
    assert freshness.accept(NOW, wall=NOW.at - 5.0, monotonic=1.0), "clocks differ a little"
    assert freshness.age(1.0) == 0.0
