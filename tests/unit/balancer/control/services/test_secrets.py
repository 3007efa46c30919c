"""Secrets: written, never read back, encrypted where they are stored."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.control.services.sealing import SecretSeal, SecretUnreadable
from balancer.control.table.signing_key import SigningKeys

VALUE = "the value that stays hidden"
SIGNED = {"signed_urls": {"issuers": ["https://shop.example"], "keys": ["url-key"]}}


async def test_a_secret_is_neither_shown_nor_stored_in_clear(api: Any, add_service: Any, stored: Any) -> None:
    await add_service()
    path = "/v1/services/shop/secrets"
    written = await api.ask("PUT", f"{path}/url-key", {"value": VALUE, "reason": "new"})
    listed = await api.ask("GET", path)
    assert [each["key"] for each in listed.json()["items"]] == ["url-key"]
    for text in (written.text, listed.text, (await api.ask("GET", "/v1/audit")).text, stored()):
        assert VALUE not in text
    assert "url-key" in stored()


async def test_a_secret_that_is_in_force_is_not_deleted(api: Any, add_service: Any, activate: Any) -> None:
    number = await add_service(access=SIGNED)
    path = "/v1/services/shop/secrets/url-key"
    assert (await activate("shop", number)).status_code == 409
    await api.ask("PUT", path, {"value": VALUE})
    assert (await activate("shop", number)).status_code == 200
    assert (await api.ask("DELETE", path)).status_code == 409
    await activate("shop", await add_service())
    assert (await api.ask("DELETE", path)).status_code == 204
    assert (await api.ask("DELETE", path)).status_code == 404


async def test_a_service_has_so_many_secrets_and_no_more(
    api: Any, add_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balancer.control.services.secret_values.SECRETS_LIMIT", 1)
    await add_service()
    for key, status in (("a", 200), ("a", 200), ("b", 409)):
        answer = await api.ask("PUT", f"/v1/services/shop/secrets/{key}", {"value": VALUE})
        assert answer.status_code == status


def test_a_sealed_value_opens_for_its_secret_and_its_key_only() -> None:
    key = Ed25519PrivateKey.generate()
    seal = SecretSeal(SigningKeys.of(key))
    sealed = seal.seal_value("shop", "a", VALUE)
    assert SecretSeal(SigningKeys.of(key)).open_value("shop", "a", sealed) == VALUE
    assert sealed != seal.seal_value("shop", "a", VALUE)
    others = [
        (seal, "blog", "a", sealed),
        (seal, "shop", "b", sealed),
        (SecretSeal(SigningKeys.of(Ed25519PrivateKey.generate())), "shop", "a", sealed),
        (seal, "shop", "a", sealed[:-1]),
        (seal, "shop", "a", b""),
    ]
    for with_key, service, name, text in others:
        with pytest.raises(SecretUnreadable):
            with_key.open_value(service, name, text)
