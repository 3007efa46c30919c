"""What edges get: signed whole, put together from differences, read back line by line."""

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.state.catalogue import SERVICES
from node.state.state_file import StateFileInvalid
from services.published import ForgedServices, PublishedService, ServiceGeneration
from services.published_file import (
    AppliedServices,
    RefusedService,
    read_applied_services,
    store_services,
    write_applied_services,
)
from services.stored_changes import read_services

SIGNER = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
KEY = SIGNER.public_key().public_bytes_raw()
A = PublishedService.of("a", 1, {"kind": "http", "hostnames": ["a.example"]}, {"key": "hidden"})
B = PublishedService.of("b", 7, {"kind": "http", "note": "zwei\nZeilen, \u2028"}, {})
BOTH = ServiceGeneration.sign(SIGNER, 3, [B, A])


def answer(made: ServiceGeneration, *services: PublishedService, **more: Any) -> dict[str, Any]:
    entries = [
        {"name": one.name, "revision": one.revision, "document": one.document, "secrets": one.secrets}
        for one in services
    ]
    signature = base64.b64encode(made.signature).decode()
    return {"generation": made.generation, "services": entries, "signature": signature, **more}


def test_a_signed_generation_is_read_back_as_it_was_stored(tmp_path: Path) -> None:
    store_services(tmp_path, BOTH)
    assert read_services(tmp_path, (KEY,)) == BOTH
    assert [service.name for service in BOTH.services] == ["a", "b"]


def test_a_generation_without_services_is_stored_too(tmp_path: Path) -> None:
    none = ServiceGeneration.sign(SIGNER, 1, [])
    store_services(tmp_path, none)
    assert read_services(tmp_path, (KEY,)) == none


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a.example", "x.example"),
        ("hidden", "broken"),
        ('"generation":3', '"generation":4'),
        ('"revision":7', '"revision":8'),
    ],
)
def test_nothing_is_believed_that_was_changed_after_it_was_signed(tmp_path: Path, old: str, new: str) -> None:
    store_services(tmp_path, BOTH)
    text = SERVICES.read_text(tmp_path)
    assert old in text
    SERVICES.write_text(tmp_path, text.replace(old, new))
    with pytest.raises(ForgedServices):
        read_services(tmp_path, (KEY,))


def test_a_service_that_is_left_out_is_noticed(tmp_path: Path) -> None:
    store_services(tmp_path, ServiceGeneration(3, (A,), BOTH.signature))
    with pytest.raises(ForgedServices):
        read_services(tmp_path, (KEY,))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]\n", '{"generation":3,"services":[\n{}\n],"signature":""}', "\n\n"]
)
def test_another_form_is_refused_by_the_name_of_the_file(tmp_path: Path, text: str) -> None:
    SERVICES.write_text(tmp_path, text)
    with pytest.raises(StateFileInvalid, match=r"services\.json"):
        read_services(tmp_path, (KEY,))


def test_a_difference_and_the_kept_generation_give_the_new_one() -> None:
    newer = PublishedService.of("a", 2, {"kind": "http", "weight": 0.5}, {})
    after = ServiceGeneration.sign(SIGNER, 5, [newer])
    merged = ServiceGeneration.from_answer(answer(after, newer, since=3, removed=["b"]), BOTH)
    merged.verify(KEY)
    assert merged == after


@pytest.mark.parametrize("kept", [None, ServiceGeneration.sign(SIGNER, 2, [A])])
def test_a_difference_from_another_generation_does_not_apply(kept: ServiceGeneration | None) -> None:
    with pytest.raises(ValueError, match="since"):
        ServiceGeneration.from_answer(answer(BOTH, A, since=3, removed=[]), kept)


def test_an_answer_is_the_whole_without_since() -> None:
    assert ServiceGeneration.from_answer(answer(BOTH, B, A)) == BOTH


def test_secrets_are_not_in_the_text_that_a_log_would_have() -> None:
    assert "hidden" not in repr(BOTH)


def test_what_an_edge_refuses_is_kept_with_what_is_in_force_instead(tmp_path: Path) -> None:
    applied = AppliedServices(3, (RefusedService("a", 2, "origins.0.tls.ca: not a certificate", A),))
    write_applied_services(tmp_path, applied)
    assert read_applied_services(tmp_path) == applied
