"""The documentation of services and the documents agree: its examples are accepted, and it has every field."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from services.document import HttpService, parse_document

PAGES = Path(__file__).parents[2] / "docs" / "services"
BLOCK = re.compile(r"```(yaml|json)\n(.*?)```", re.DOTALL)
REQUIRED: dict[str, Any] = {
    "hostnames": ["www.example.org"],
    "origins": [{"name": "main", "url": "http://origin.example"}],
}


def examples() -> Iterator[Any]:
    """The examples that are a document or a part of one; other blocks have fields that no document has."""
    for page in sorted(PAGES.glob("*.md")):
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text())):
            value = yaml.safe_load(text) if kind == "yaml" else json.loads(text)
            if isinstance(value, dict) and value.keys() <= HttpService.model_fields.keys():
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
    assert isinstance(parse_document({**REQUIRED, **example}), HttpService)


def test_every_field_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES.glob("*.md"))
    words = set(re.findall(r"[a-z_]+", text))
    assert not sorted(set(field_names(HttpService)) - words)
