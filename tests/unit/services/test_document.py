"""A document of a service is taken whole or refused with the field's name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.document import HttpService, TcpService, parse_document
from services.values import parse_host_pattern

SMALL: dict[str, Any] = {
    "hostnames": ["www.example.org"],
    "origins": [{"name": "main", "url": "http://origin.example"}],
}


def test_a_small_document_is_of_kind_http() -> None:
    document = parse_document(SMALL)
    assert isinstance(document, HttpService)
    assert parse_document(document.model_dump(mode="json")) == document


def test_kind_tcp_has_targets() -> None:
    document = parse_document(
        {"kind": "tcp", "hostnames": ["db.example.org"], "targets": [{"host": "10.0.0.1", "port": 5432}]}
    )
    assert isinstance(document, TcpService)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hostnames": []}, "hostnames"),
        ({"hostnames": ["a b"]}, "hostnames"),
        ({"hostnames": ["*.org"]}, "hostnames"),
        ({"hostnames": ["WWW.example.org", "www.example.org."]}, "hostnames"),
        ({"origins": []}, "origins"),
        ({"origins": [{"name": "a", "url": "ftp://x"}]}, "url"),
        ({"origins": [{"name": "a", "url": "http://u:p@x"}]}, "url"),
        ({"origins": [{"name": "a", "url": "http://x", "group": "backup"}]}, "origins"),
        ({"origins": [{"name": "a", "url": "http://x", "tls": {"verify": False}}]}, "tls"),
        ({"origins": [{"name": "a", "url": "http://x", "weight": True}]}, "weight"),
        ({"cache": [{"path": "images"}]}, "path"),
        ({"cache": [{"bypass": True, "lifetimes": {"default": 1}}]}, "bypass"),
        ({"cache": [{"key": {"query": "allow"}}]}, "parameters"),
        ({"headers": {"client": [{"action": "set", "name": "content-length", "value": "1"}]}}, "name"),
        ({"headers": {"client": [{"action": "set", "name": "x", "value": "a\r\nb: c"}]}}, "value"),
        ({"redirects": [{"path": "/a", "to": "/b", "status": 304}]}, "status"),
        ({"access": {"allow": ["10.0.0.1/8"]}}, "allow"),
        ({"limits": {"requests_per_second": 0}}, "requests_per_second"),
        ({"required": {"modes": ["none"]}}, "modes"),
        ({"required": {"both_paths": "yes"}}, "both_paths"),
        ({"required": {"both_paths": 1}}, "both_paths"),
        ({"cache": [{"bypass": "true"}]}, "bypass"),
        ({"cache": [{"key": {"cookies": ["a b"]}}]}, "cookies"),
        ({"cache": [{"lifetimes": {"override": True}}]}, "override"),
        ({"headers": {"origin": [{"action": "remove", "name": "range"}]}}, "name"),
        ({"redirects": [{"path": "/a", "to": "{path}"}]}, "to"),
        ({"compression": {"types": ["text"]}}, "types"),
        ({"compression": {"minimum_bytes": 9, "maximum_bytes": 8}}, "minimum_bytes"),
        ({"compression": {"codings": ["br", "br"]}}, "codings"),
        ({"limits": {"session_bytes_per_second": 1}}, "session_bytes_per_second"),
        ({"access": {"allow": ["10.0.0.0/8"], "deny": ["10.0.0.0/8"]}}, "deny"),
        ({"typo": 1}, "typo"),
    ],
)
def test_a_fault_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_document({**SMALL, **change})
    assert any(field in error["loc"] or field in error["msg"] for error in caught.value.errors())


@given(st.text(max_size=40))
def test_a_host_pattern_is_canonical(text: str) -> None:
    try:
        pattern = parse_host_pattern(text)
    except ValueError:
        return
    assert parse_host_pattern(pattern) == pattern
