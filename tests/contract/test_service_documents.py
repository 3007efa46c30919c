"""The documentation of services and the documents agree: its examples are accepted, and have every field."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from services.document import HttpService, TcpService, parse_document
from services.faults import list_faults

PAGES = Path(__file__).parents[2] / "docs" / "services"
BLOCK = re.compile(r"```(yaml|json)\n(.*?)```", re.DOTALL)
FIELDS = HttpService.model_fields.keys() | TcpService.model_fields.keys()
REQUIRED: dict[str, Any] = {
    "hostnames": ["www.example.org"],
    "origins": [{"name": "main", "url": "http://origin.example"}],
}


def examples() -> Iterator[Any]:
    """The examples that are a document or a part of one; other blocks have fields that no document has."""
    for page in sorted(PAGES.glob("*.md")):
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text())):
            value = yaml.safe_load(text) if kind == "yaml" else json.loads(text)
            if isinstance(value, dict) and value.keys() <= FIELDS:
                yield pytest.param(value, id=f"{page.stem}-{number}")


def field_names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for part in _models_in(field.annotation):
            yield from field_names(part)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


@pytest.mark.parametrize("example", list(examples()))
def test_an_example_is_accepted(example: dict[str, Any]) -> None:
    if example.get("kind") == "tcp":
        assert isinstance(parse_document(example), TcpService)
    else:
        assert isinstance(parse_document({**REQUIRED, **example}), HttpService)


@pytest.mark.parametrize("model", [HttpService, TcpService])
def test_every_field_of_the_schema_is_in_an_example(model: type[BaseModel]) -> None:
    """As a path: a field of one part does not stand for a field of the same name of another."""
    schema = model.model_json_schema()
    shown = {path for example in examples() for path in used_paths(example.values[0])}
    assert not sorted(set(schema_paths(schema, schema["$defs"])) - shown)


def schema_paths(schema: dict[str, Any], parts: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of every field of a JSON Schema; items of a list have the path of the list."""
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    for inner in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from schema_paths(inner, parts, prefix)
    if "items" in schema:
        yield from schema_paths(schema["items"], parts, prefix)
    for name, field in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from schema_paths(field, parts, f"{prefix}{name}.")


def used_paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of every field of an example."""
    for item in value if isinstance(value, list) else ():
        yield from used_paths(item, prefix)
    for name, field in value.items() if isinstance(value, dict) else ():
        yield f"{prefix}{name}"
        yield from used_paths(field, f"{prefix}{name}.")


@pytest.mark.parametrize("example", list(examples()))
def test_a_wrong_value_of_any_field_is_refused_by_the_name_of_the_field(example: dict[str, Any]) -> None:
    """All examples together have every field, see above."""
    document = example if example.get("kind") == "tcp" else {**REQUIRED, **example}
    parse_document(document)
    for path in list(places_of(document)):
        wrong = copy.deepcopy(document)
        part: Any = wrong
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = {"wrong": [None]}  # no field takes this
        with pytest.raises(ValidationError) as caught:
            parse_document(wrong)
        named = [fault.field for fault in list_faults(caught.value, wrong)]
        assert any(is_at_or_in(field, path) for field in named), (path, named)


def places_of(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of every field, and of every item of a list."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield (*before, name)
        yield from places_of(part, (*before, name))


def is_at_or_in(field: str, path: tuple[str | int, ...]) -> bool:
    """Return whether a fault names a place, or something in it."""
    place = ".".join(map(str, path))
    return field == place or field.startswith(f"{place}.")


def test_every_field_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES.glob("*.md"))
    words = set(re.findall(r"[a-z_]+", text))
    assert not sorted(set(field_names(HttpService)) - words)
