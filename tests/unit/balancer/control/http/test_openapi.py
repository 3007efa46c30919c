"""The OpenAPI document: every operation explains itself, and schemathesis finds nothing against it."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from balancer.api.schemas import Body
from balancer.control.app import create_app
from services.document import parse_document

TOKEN = "the-admin-token-of-this-test"
FOLDER = tempfile.TemporaryDirectory()
APP = create_app(Path(FOLDER.name), TOKEN)
DOCUMENT = APP.openapi()
OPERATIONS = [
    pytest.param(operation, id=f"{method} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_explains_itself(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert operation["tags"]
    problems = {status for status in operation["responses"] if status[0] in "45"}
    for status in problems:
        assert list(operation["responses"][status]["content"]) == ["application/problem+json"], status


def bodies(base: type[Body]) -> Iterator[type[Body]]:
    """All classes of bodies."""
    for each in base.__subclasses__():
        yield each
        yield from bodies(each)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_body_has_an_example_that_is_accepted(operation: dict[str, Any]) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"]["$ref"].rpartition("/")[2]
        (example,) = DOCUMENT["components"]["schemas"][name]["examples"]
        if name == "ServiceDocument":
            parse_document(example)
        else:
            model = {each.__name__: each for each in bodies(Body)}[name]
            model.model_validate_json(json.dumps(example))


# what a JSON schema cannot say: texts without NUL, addresses that are no hosts', values that contradict one another
CONTRADICTIONS = {
    *("v4", "v6", "tunnel_v4", "tunnel_v6", "service_port", "id_port_base", "edge_id", "vip"),
    *("outside", "peer_key"),
    *("ingress", "source", "destination", "url", "replaces", "prefix", "host"),
}
# a stream of events has no end to wait for; test_table_events.py reads one
schema = schemathesis.openapi.from_asgi("/openapi.json", APP).exclude(path="/v1/table/events")


@pytest.fixture(autouse=True)
def guesses_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case shows wrong tokens too, all from one address: the limit has tests of its own."""
    monkeypatch.setattr("balancer.control.authentication.guesses.BURST", 1_000_000)


@schema.parametrize()
@settings(max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck))
def test_schemathesis_finds_nothing(case: Any) -> None:
    if case.query:
        case.query.pop("wait", None)  # a long poll would be one
    response = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
    case.validate_response(response, excluded_checks=[positive_data_acceptance])
    if 400 <= response.status_code < 500:
        assert all(each["field"] for each in response.json()["errors"]), response.text
        assert response.json()["errors"], response.text
    # what documents of services have to fulfil beyond their schema, tests/unit/services looks at
    of_document = case.path.endswith(("/revisions", "/validate"))
    if case.meta.generation.mode.is_positive and response.status_code == 422 and not of_document:
        wrong = {each["field"] for each in response.json()["errors"] if "NUL" not in each["message"]}
        # a stage of a rollout has either a site or a share
        wrong = {field for field in wrong if not field.startswith("rollout.stages.")}
        assert wrong <= CONTRADICTIONS, response.text
