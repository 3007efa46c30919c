"""TLS towards origins: verified by default, private authorities, server names, client certificates."""

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from certificates import identity
from origin_groups import LiveOrigin, ask
from pydantic import ValidationError

from edge.http.origin_response import OriginFailed
from edge.origins.origin_group import ServiceOrigins
from edge.origins.registry import OriginRegistry
from edge.origins.tls import OriginUnusable, check_origins
from services.document import HttpService, parse_document


def serving(files: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


def described(port: int, **tls: Any) -> HttpService:
    origin = {"name": "a", "url": f"https://127.0.0.1:{port}", "tls": tls}
    parsed = parse_document({"hostnames": ["www.example"], "origins": [origin]})
    assert isinstance(parsed, HttpService)
    return parsed


async def ask_origin(context: ssl.SSLContext, secrets: dict[str, str] | None = None, **tls: Any) -> str:
    live = LiveOrigin("a")
    await live.start(context)
    made = OriginRegistry("edge1", lambda address: None)
    try:
        origins: ServiceOrigins = made.make_origins("shop", described(live.port, **tls), secrets or {})
        return (await ask(origins))[1]
    finally:
        await made.close()
        live.kill()


async def test_an_unknown_authority_is_refused_unless_given_or_not_verified(tmp_path: Path) -> None:
    files = identity(tmp_path, "origin", "127.0.0.1")
    context = serving(files)
    with pytest.raises(OriginFailed) as failed:
        await ask_origin(context)
    assert "certificate verify failed" in failed.value.cause
    assert "certificate" not in str(failed.value)  # what clients read says nothing of the origin
    assert await ask_origin(context, ca=files[0].read_text()) == "a"
    assert await ask_origin(context, verify=False) == "a"


async def test_the_server_name_is_compared_with_the_certificate(tmp_path: Path) -> None:
    files = identity(tmp_path, "origin", "origin.example")
    context, ca = serving(files), files[0].read_text()
    asked: list[str | None] = []
    context.sni_callback = lambda connection, name, _: asked.append(name)
    assert await ask_origin(context, ca=ca, server_name="origin.example") == "a"
    assert asked == ["origin.example"]
    for wrong in ({}, {"server_name": "other.example"}):
        with pytest.raises(OriginFailed):
            await ask_origin(context, ca=ca, **wrong)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_older_versions_than_1_2_are_refused(tmp_path: Path) -> None:
    files = identity(tmp_path, "origin", "127.0.0.1")
    context = serving(files)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OriginFailed):
        await ask_origin(context, ca=files[0].read_text())


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    files, own = identity(tmp_path, "origin", "127.0.0.1"), identity(tmp_path, "edge", "edge.example")
    context, ca = serving(files), files[0].read_text()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own[0])
    with pytest.raises(OriginFailed):
        await ask_origin(context, ca=ca)
    shown = {"client_certificate": own[0].read_text(), "client_key": "origin-key"}
    assert await ask_origin(context, {"origin-key": own[1].read_text()}, ca=ca, **shown) == "a"


def test_settings_that_cannot_be_used_name_their_field_and_never_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = identity(tmp_path, "one", "127.0.0.1"), identity(tmp_path, "other", "127.0.0.1")
    shown = {"client_certificate": one[0].read_text(), "client_key": "origin-key"}
    key = other[1].read_text()
    caplog.set_level(logging.DEBUG)
    for secrets in ({}, {"origin-key": key}, {"origin-key": "no key"}):
        with pytest.raises(OriginUnusable, match=r"origins\.0\.tls\.client_") as refused:
            check_origins(described(1, **shown).origins, secrets)
        assert key[40:80] not in str(refused.value) + caplog.text
    with pytest.raises(OriginUnusable, match=r"origins\.0\.tls\.ca"):
        check_origins(described(1, ca="no certificate").origins, {})


def test_a_port_that_is_the_default_of_the_other_scheme_is_kept() -> None:
    for url, canonical in (("https://a:80", "https://a:80"), ("http://a:443/b/", "http://a:443/b")):
        parsed = parse_document({"hostnames": ["a"], "origins": [{"name": "a", "url": url}]})
        assert isinstance(parsed, HttpService)
        assert parsed.origins[0].url == canonical
    with pytest.raises(ValidationError):
        parse_document({"hostnames": ["a"], "origins": [{"name": "a", "url": "https://user@a"}]})
