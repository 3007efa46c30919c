"""The published services in memory: whatever changed in whatever order, each view is signed whole, and counted."""

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from balancer.control.services.published.live import LiveService, LiveServices
from balancer.control.services.published.stage import Stage
from balancer.control.table.signing_key import SigningKeys
from services.published import PublishedService, ServiceGeneration

SIGNER = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
KEY = SIGNER.public_key().public_bytes_raw()
REVISIONS = st.one_of(st.none(), st.integers(1, 3))
CHANGE = st.dictionaries(
    st.sampled_from("abcdefgh"), st.one_of(st.none(), st.tuples(REVISIONS, REVISIONS)), max_size=4
)


def publish(name: str, revision: int | None) -> PublishedService | None:
    return PublishedService.of(name, revision, {"note": "x" * revision}, {}) if revision else None


@given(CHANGE, st.lists(CHANGE, max_size=8), st.booleans())
def test_every_view_is_signed_whole_after_any_changes(
    first: dict[str, tuple[int | None, int | None] | None],
    later: list[dict[str, tuple[int | None, int | None] | None]],
    looked: bool,
) -> None:
    live = LiveServices(SigningKeys.of(SIGNER))
    begun = {name: made for name, made in services_of(first).items() if made is not None}
    live.load(1, begun)
    for generation, change in enumerate(later, 2):
        if looked:
            live.body(frozenset())
        live.advance(generation, services_of(change))
    actives = [each.active for each in live.services.values() if each.active]
    assert live.size == sum(len(each.line) for each in actives)
    rolling = frozenset(name for name, _ in live.rolling_services())
    for candidates in (frozenset(), rolling):
        view = ServiceGeneration.from_answer(json.loads(live.body(candidates)))
        view.verify(KEY)
        expected = {
            name: each.candidate if name in candidates else each.active
            for name, each in live.services.items()
        }
        assert {each.name: each for each in view.services} == {
            name: each for name, each in expected.items() if each is not None
        }


def services_of(change: dict[str, tuple[int | None, int | None] | None]) -> dict[str, LiveService | None]:
    return {
        name: None
        if each is None
        else LiveService(publish(name, each[0]), publish(name, each[1]), (Stage(share=0.5),))
        for name, each in change.items()
    }
