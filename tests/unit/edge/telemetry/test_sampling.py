"""The share of requests that the access log has: of all, and of a service; errors are always logged."""

import json
from pathlib import Path
from typing import Any

import pytest
from many_services import prepare_services
from scripted_server import ScriptedServer, answer
from served_cache import served

from edge.services.directory import ServiceDirectory
from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.access_log.fast_hit import HitOutcome
from edge.telemetry.access_log.file_sink import FileSink
from edge.telemetry.access_log.json_lines import JsonLines
from edge.telemetry.access_log.writer import LogWriter
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.telemetry import Telemetry
from services.document import parse_document
from services.published import PublishedService

REQUESTS = 1000


def open_log(folder: Path, share: float = 1.0) -> AccessLog:
    return AccessLog(JsonLines(), LogWriter(FileSink(folder / "log")), share)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def record(telemetry: Telemetry, service: str, status: int = 200, *, complete: bool = True) -> None:
    made = telemetry.begin_request(ConnectionFacts(), "GET", b"/", ())
    made.figures = telemetry.figures.of_service(service)
    made.status, made.complete = status, complete
    telemetry.finish_request(made)


@pytest.mark.parametrize(
    ("of_all", "of_service", "expected"), [(0.5, 1.0, 500), (1.0, 0.5, 500), (0.5, 0.5, 250), (1.0, 0.0, 0)]
)
async def test_a_share_of_all_requests_and_of_a_services(
    tmp_path: Path, of_all: float, of_service: float, expected: int
) -> None:
    telemetry = Telemetry(1, open_log(tmp_path, of_all))
    telemetry.set_log_shares({"shop": of_service})
    asked = telemetry.fast_request({}, b"/", "shop", 1)
    for _ in range(REQUESTS // 2):
        record(telemetry, "shop")
        telemetry.record_hit(0.0, b"0" * 32, ConnectionFacts(), asked, HitOutcome(200, 10, 60))
    await telemetry.close()
    assert abs(len(lines_of(tmp_path)) - expected) < 120
    assert telemetry.figures.of_service("shop").requests == REQUESTS  # figures count all


async def test_errors_are_always_logged(tmp_path: Path) -> None:
    telemetry = Telemetry(1, open_log(tmp_path))
    telemetry.set_log_shares({"shop": 0.0})
    for status in (200, 304, 404, 502):
        record(telemetry, "shop", status)
    record(telemetry, "shop", 200, complete=False)
    record(telemetry, "other")
    await telemetry.close()
    found = [(line["service"], line["status"], line["complete"]) for line in lines_of(tmp_path)]
    assert found == [("shop", 502, True), ("shop", 200, False), ("other", 200, True)]


async def test_an_error_of_the_origin_that_was_hidden_from_the_client_is_logged(tmp_path: Path) -> None:
    origin = ScriptedServer(
        lambda asked: [answer("x", status="500 Oh" if "bad" in asked.target else "200 OK")]
    )
    async with served(tmp_path / "cache", origin, log=open_log(tmp_path)) as [one]:
        one.telemetry.set_log_shares({"default": 0.0})
        assert [(await one.get(path)).status_code for path in ("/good", "/bad")] == [200, 500]
    assert [line["url"] for line in lines_of(tmp_path)] == ["https://cdn/bad"]


def test_a_new_revision_changes_the_share() -> None:
    telemetry = Telemetry(1)
    directory = ServiceDirectory(
        lambda service: None,  # type: ignore[arg-type,return-value]
        on_activation=lambda catalogue: telemetry.set_log_shares(catalogue.log_shares()),
    )
    figures = telemetry.figures.of_service("ssh")
    for revision, log in enumerate(({"sample": 0.25}, {}), 1):
        document = {"kind": "tcp", "hostnames": ["a.example"], "targets": [{"host": "192.0.2.1", "port": 22}]}
        directory.activate(
            prepare_services(PublishedService.of("ssh", revision, {**document, "log": log}, {}))
        )
        assert figures.log_share == log.get("sample", 1.0)


@pytest.mark.parametrize("share", [-0.1, 1.1, "half"])
def test_no_other_share_is_a_valid_document(share: object) -> None:
    with pytest.raises(ValueError, match="log"):
        parse_document(
            {
                "hostnames": ["a.example"],
                "origins": [{"name": "one", "url": "http://192.0.2.1"}],
                "log": {"sample": share},
            }
        )
