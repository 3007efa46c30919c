"""Each fault of a document has the path of its field."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.document import parse_document
from services.faults import DocumentFault, list_faults

GOOD: dict[str, Any] = {"hostnames": ["a.example"], "origins": [{"name": "eu", "url": "http://192.0.2.1"}]}
ORIGIN: dict[str, Any] = GOOD["origins"][0]


def faults_of(value: object) -> list[DocumentFault]:
    with pytest.raises(ValidationError) as caught:
        parse_document(value)
    return list_faults(caught.value, value)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"hostnames": ["a..example"]}, ["hostnames.0"]),
        ({"hostnames": ["a.example", "A.example"]}, ["hostnames"]),
        ({"hostname": ["a.example"]}, ["hostname"]),
        ({"origins": [{"name": "eu"}]}, ["origins.0.url"]),
        ({"origins": []}, ["origins"]),
        ({"origins": [{**ORIGIN, "group": "backup"}]}, ["origins"]),
        ({"origins": [{**ORIGIN, "tls": {"verify": False}}]}, ["origins.0.tls"]),
        ({"access": {"allow": ["10.0.0.0/8", "300.0.0.0/8"]}}, ["access.allow.1"]),
        ({"cache": [{"bypass": True, "key": {"query": "none"}}]}, ["cache.0.bypass"]),
        ({"cache": [{"lifetimes": {"override": 1, "default": 2}}]}, ["cache.0.lifetimes"]),
        ({"kind": "udp"}, ["kind"]),
        ({"kind": "tcp"}, ["targets", "origins"]),
        (
            {"redirects": [{"path": "old", "to": "/"}], "limits": {"burst": 0}},
            ["limits.burst", "redirects.0.path"],
        ),
    ],
)
def test_a_fault_names_its_field(change: dict[str, Any], fields: list[str]) -> None:
    assert [fault.field for fault in faults_of(GOOD | change)] == fields


@pytest.mark.parametrize("value", [None, [], "text", 1])
def test_what_is_no_object_is_a_fault_of_the_whole(value: object) -> None:
    assert [fault.field for fault in faults_of(value)] == ["document"]


def test_a_field_with_several_faults_is_named_once() -> None:
    fields = [fault.field for fault in faults_of(GOOD | {"access": {"allow": [7]}})]
    assert fields == ["access.allow.0"]
