"""Refusals: who may do what, and errors that name their field."""

from typing import Any

import pytest

from balancer.control.settings import ControlSettings
from runtime.errors import CommandError


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/edges"), ("POST", "/v1/vips"), ("POST", "/v1/enrolment-tokens"), ("DELETE", "/v1/edges/1")],
)
async def test_an_edge_is_no_admin_and_a_stranger_has_no_role(api: Any, method: str, path: str) -> None:
    await api.enrol(1)
    assert (await api.ask(method, path, token="credential-1")).status_code == 403
    assert (await api.ask(method, path, token="guess")).status_code == 401
    assert (await api.http.request(method, path)).headers["www-authenticate"] == "Bearer"


async def test_an_edge_speaks_for_itself_only(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    assert (await api.heartbeat(2, number=1)).status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"v4": "not an address"}, "v4"),
        ({"v4": "127.0.0.1"}, "v4"),
        ({"v4": None}, "v4"),
        ({"service_port": 0}, "service_port"),
        ({"service_port": 20000}, "service_port"),
        ({"name": "../etc"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_vip_that_makes_no_sense_is_refused_by_field(
    api: Any, vip: Any, change: Any, field: str
) -> None:
    answer = await api.ask("POST", "/v1/vips", vip | {"name": "other"} | change)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_vip_never_changes_under_its_edges(api: Any, vip: Any) -> None:
    assert (await api.ask("POST", "/v1/vips", vip)).status_code == 200
    assert (await api.ask("POST", "/v1/vips", vip | {"id_port_base": 20000})).status_code == 409
    assert (await api.ask("POST", "/v1/vips", vip | {"name": "other"})).json()["errors"][0]["field"] == "v4"
    await api.enrol(1)
    assert (await api.ask("DELETE", "/v1/vips/main")).status_code == 409


async def test_a_large_body_is_refused_with_and_without_a_declared_length(api: Any) -> None:
    async def chunks() -> Any:
        for _ in range(9):
            yield b" " * 10_000

    for content in (b" " * 90_000, chunks()):
        answer = await api.ask("POST", "/v1/vips", content=content)
        assert answer.json()["type"] == "urn:sennit:problem:body-too-large"


async def test_an_unknown_path_is_a_problem_too(api: Any) -> None:
    assert (await api.ask("GET", "/v1/nothing")).json()["type"] == "urn:sennit:problem:no-such-resource"


def test_tokens_never_cross_a_network_in_clear() -> None:
    with pytest.raises(CommandError, match="in clear"):
        ControlSettings.from_arguments(["--listen", "10.255.0.100:8443", "--admin-token-file", "/nowhere"])


def test_there_is_no_default_admin_token(tmp_path: Any) -> None:
    with pytest.raises(CommandError, match="--admin-token-file"):
        ControlSettings.from_arguments([])
    weak = tmp_path / "token"
    weak.write_text("admin\n")
    with pytest.raises(ValueError, match="at least 16"):
        ControlSettings.from_arguments(["--admin-token-file", str(weak)]).admin_token()
    for easy in ("aaaaaaaaaaaaaaaaaaaa", "12341234123412341234", "adminadminadminadmin"):
        weak.write_text(easy)
        with pytest.raises(ValueError, match="different characters"):
            ControlSettings.from_arguments(["--admin-token-file", str(weak)]).admin_token()


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Any, monkeypatch: Any) -> None:
    file = tmp_path / "control.toml"
    file.write_text('lease_seconds = 3\nquarantine_seconds = 4\nlisten = "127.0.0.1:1"\n')
    monkeypatch.setenv("SENNIT_CONTROL_LEASE_SECONDS", "5")
    monkeypatch.setenv("SENNIT_CONTROL_LISTEN", "127.0.0.1:2")
    flags = ["--config", str(file), "--admin-token-file", "/x", "--listen", "127.0.0.1:3"]
    settings = ControlSettings.from_arguments(flags)
    assert (settings.quarantine_seconds, settings.lease_seconds, settings.endpoints[0][1]) == (4, 5, 3)
