"""Signed URLs by RFC 9246: what a token allows, and all that it does not."""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cdn import NOW, Cdn, cdn
from joserfc import jwk, jwt

from edge.services.admission.signed_urls import ATTRIBUTE, matches_container, split_token

KEY = jwk.ECKey.generate_key("P-256")
OTHER = jwk.ECKey.generate_key("P-256")
SHARED = jwk.OctKey.import_key(bytes(range(32)))
SECRETS = {
    "signer": json.dumps(KEY.as_dict(private=False)),
    "shared": json.dumps(SHARED.as_dict(private=True)),
}
DOCUMENT = {"access": {"signed_urls": {"issuers": ["https://shop.example"], "keys": ["signer", "shared"]}}}
CLAIMS: dict[str, Any] = {"iss": "https://shop.example", "exp": NOW + 60, "cdniuc": "regex:https://cdn/a.*"}


def sign_claims(key: Any = KEY, algorithm: str = "ES256", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])


def container_of(url: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(url.encode()).digest()).rstrip(b"=").decode()
    return f"hash:sha-256;{digest}"


@pytest.fixture
async def it(tmp_path: Path) -> Any:
    async with cdn(tmp_path, DOCUMENT, SECRETS) as made:
        made.origin.headers = [("cache-control", "max-age=600")]
        yield made


@pytest.mark.parametrize(
    "token",
    [
        sign_claims(),
        sign_claims(SHARED, "HS256"),
        sign_claims(cdniuc=container_of("https://cdn/a?x=1")),
        sign_claims(cdniuc=container_of("http://cdn/a?x=1")),
        sign_claims(cdniuc="regex:(smkex|https)://cdn/[[:alpha:]]+.*"),
        sign_claims(aud="shop", nbf=NOW - 1, iat=NOW, sub="user", cdniv=1, cdnicrit="cdniuc,exp"),
        sign_claims(aud=["other", "cdn"]),
        sign_claims(exp=None),
    ],
)
async def test_a_token_allows_its_url(it: Cdn, token: str) -> None:
    response = await it.get(f"/a?{ATTRIBUTE}={token}&x=1")
    assert response.status_code == 200
    # neither origin nor cache key have the token
    assert str(it.origin.asked[-1].url).endswith("/a?x=1")
    await it.settled()
    cookie = await it.get("/a?x=1", cookie=f"a=b; {ATTRIBUTE}={token}")
    assert "hit" in cookie.headers["cache-status"]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        sign_claims(OTHER),
        sign_claims()[:-2] + "AA",
        "eyJhbGciOiJub25lIn0." + sign_claims().split(".")[1] + ".",
        sign_claims(jwk.OctKey.import_key(json.dumps(KEY.as_dict(private=False)).encode()), "HS256"),
        sign_claims(iss=None),
        sign_claims(iss="https://evil.example"),
        sign_claims(aud="other"),
        sign_claims(aud=7),
        sign_claims(exp=NOW),
        sign_claims(exp="never"),
        sign_claims(exp=True),
        sign_claims(nbf=NOW + 1),
        sign_claims(cdniv=2),
        sign_claims(cdniip="x"),
        sign_claims(cdnistt=1),
        sign_claims(cdniets=30),
        sign_claims(cdnicrit="jti"),
        sign_claims(cdniuc=None),
        sign_claims(cdniuc=7),
        sign_claims(cdniuc="regex:https://cdn/b.*"),
        sign_claims(cdniuc="regex:cdn/a"),
        sign_claims(cdniuc="regex:("),
        sign_claims(cdniuc=container_of("https://cdn/a")),
        sign_claims(cdniuc="hash:md5;x"),
        sign_claims(cdniuc="https://cdn/a?x=1"),
    ],
)
async def test_anything_else_is_refused(it: Cdn, token: str) -> None:
    response = await it.get(f"/a?x=1&{ATTRIBUTE}={token}")
    assert response.status_code == 403
    assert not it.origin.asked


async def test_without_a_token_nothing_is_served_on_either_path(it: Cdn) -> None:
    token = sign_claims()
    for _ in range(2):
        await it.get(f"/a?{ATTRIBUTE}={token}")
        await it.settled()
    assert (await it.get("/a")).status_code == 403
    assert (await it.client.post("/a")).status_code == 403
    assert it.fast(b"GET /a HTTP/1.1\r\nHost: cdn\r\n\r\n") is None


async def test_a_token_for_another_host_does_not_count(it: Cdn) -> None:
    response = await it.client.get(f"/a?{ATTRIBUTE}={sign_claims()}", headers={"host": "cdn.evil"})
    assert response.status_code == 403


def test_the_example_of_the_rfc() -> None:
    container = "hash:sha-256;2tderfWPa86Ku7YnzW51YUp7dGUjBS_3SW3ELx4hmWY"
    assert matches_container(container, "cdni.example/foo/bar")
    assert not matches_container(container, "cdni.example/foo/baz")


def test_a_pattern_that_takes_too_long_matches_nothing() -> None:
    began = time.monotonic()
    assert not matches_container("regex:(https://a(b|b|b?)+)+c(b|b?)+d", "a" + "b" * 5000)
    assert time.monotonic() - began < 60


def test_the_token_is_taken_out_wherever_it_is() -> None:
    assert split_token(f"/a?{ATTRIBUTE}=t") == ("t", "/a")
    assert split_token(f"/a?x=1&{ATTRIBUTE}=t&y&{ATTRIBUTE}=u") == ("t", "/a?x=1&y")
    assert split_token("/a?") == ("", "/a?")


async def test_a_secret_that_is_no_key_refuses_the_revision(tmp_path: Path) -> None:
    for secrets in ({}, {"signer": "{}", "shared": "{}"}, {"signer": "nothing", "shared": ""}):
        with pytest.raises(ValueError, match=r"access\.signed_urls\.keys\.0: "):
            async with cdn(tmp_path, DOCUMENT, secrets):
                pass
