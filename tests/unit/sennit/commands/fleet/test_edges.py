"""`sennit edges` shows what an edge reports otherwise than it was accepted, accepts it, or refuses it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from sennit.main import main

CREDENTIAL = "credential-1"


def enrol(token: str, tunnel: str) -> None:
    body = {
        "name": "edge1",
        "site": "a",
        "tunnel_v4": tunnel,
        "credential_sha256": hashlib.sha256(CREDENTIAL.encode()).hexdigest(),
    }
    send("/v1/edges", body, token)


def send(path: str, body: dict[str, Any], token: str) -> Any:
    url = os.environ["SENNIT_CONTROL_URL"] + path
    answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture
def moved(control: Path) -> None:
    """An edge that was accepted at 10.255.0.1, and reports another address."""
    admin = (control / "token").read_text()
    send("/v1/vips", {"name": "main", "v4": "203.0.113.1"}, admin)
    enrol(send("/v1/enrolment-tokens", {}, admin)["token"], "10.255.0.1")
    enrol(CREDENTIAL, "10.255.9.9")


@pytest.fixture
def edges(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["edges", *arguments])
        return status, capsys.readouterr().out

    return run


def test_what_is_pending_is_listed_and_shown_with_what_to_do(moved: None, edges: Any) -> None:
    assert "pending: tunnel_v4 10.255.0.1 -> 10.255.9.9" in edges("list")[1]
    shown = edges("show", "edge1")[1]
    assert "not accepted: tunnel_v4 10.255.0.1 -> 10.255.9.9" in shown
    assert "`sennit edges accept edge1` or `sennit edges refuse edge1`" in shown


@pytest.mark.parametrize(("action", "tunnel"), [("accept", "10.255.9.9"), ("refuse", "10.255.0.1")])
def test_it_is_accepted_or_refused(moved: None, edges: Any, action: str, tunnel: str) -> None:
    status, shown = edges(action, "edge1", "--reason", "new rack")
    assert status == 0
    assert "pending" not in shown
    (edge,) = json.loads(edges("list", "--json")[1])
    assert (edge["tunnel_v4"], edge["pending"]) == (tunnel, None)


def test_nothing_to_accept_is_an_error(moved: None, edges: Any, capsys: pytest.CaptureFixture[str]) -> None:
    edges("accept", "edge1")
    for action in ("accept", "refuse"):
        assert main(["edges", action, "edge1"]) != 0
        assert "pending" in (said := capsys.readouterr().err) or "not accepted" in said
