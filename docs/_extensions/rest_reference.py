"""The directive `rest-reference`: every operation and schema of the control plane's OpenAPI document."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

TITLE, SUBTITLE = "-", "~"


def openapi_document() -> dict[str, Any]:
    """Return the document as the running control plane serves it."""
    from balancer.control.app import create_app

    with tempfile.TemporaryDirectory() as folder:
        return create_app(Path(folder), "a token that nothing uses").openapi()


class RestReference(SphinxDirective):
    """Sections for operations, grouped by tag, then for schemas."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        text = "\n".join(reference(openapi_document()))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def reference(document: dict[str, Any]) -> Iterator[str]:
    """Write the reference as reStructuredText."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    yield from _paragraphs(document["info"]["description"])
    for tag in sorted({operation["tags"][0] for _, _, operation in operations}):
        yield from ["", tag, TITLE * len(tag), ""]
        for method, path, operation in operations:
            if operation["tags"][0] == tag:
                yield from _operation(method, path, operation)
    yield from ["", "Schemas", TITLE * 7, ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from _schema(name, schema)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    heading = f"``{method} {path}``"
    yield from [heading, SUBTITLE * len(heading), "", f"**{operation['summary']}.**", ""]
    yield from _paragraphs(operation["description"])
    if operation.get("parameters"):
        yield from _table("parameter", "in", "type", "meaning")
        for parameter in operation["parameters"]:
            needed = ", required" if parameter.get("required") else ""
            kind = _type(parameter["schema"]) + needed
            yield from _row(
                f"``{parameter['name']}``", parameter["in"], kind, parameter.get("description", "")
            )
        yield ""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from [f"Body: {_type(content['schema'])}.", ""]
    yield from _table("status", "answer", "body")
    for status, answer in operation["responses"].items():
        bodies = ", ".join(
            f"{_type(content['schema'])} (``{kind}``)" if content.get("schema") else f"``{kind}``"
            for kind, content in answer.get("content", {}).items()
        )
        yield from _row(status, answer["description"], bodies)
    yield ""


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from [f".. _rest-{name.lower()}:", "", name, SUBTITLE * len(name), ""]
    yield from _paragraphs(schema.get("description", ""))
    if "enum" in schema:
        yield from ["One of " + ", ".join(f"``{value}``" for value in schema["enum"]) + ".", ""]
    if "oneOf" in schema:
        yield from [f"{_type(schema)}.", ""]
    if schema.get("properties"):
        required = schema.get("required", [])
        yield from _table("field", "type", "meaning")
        for field, described in schema["properties"].items():
            needed = ", required" if field in required else ""
            meaning = " ".join((described.get("description", ""), *_bounds(described))).strip()
            yield from _row(f"``{field}``", _type(described) + needed, meaning)
        yield ""


BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minItems": "items, at least",
    "maxItems": "items, at most",
}


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    """Write a field's bounds and its default, where they are plain values."""
    inner = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), schema)
    bounds = [
        f"{words} {int(inner[name]) if inner[name] == int(inner[name]) else inner[name]:,}"
        for name, words in BOUNDS.items()
        if name in inner
    ]
    if bounds:
        text = ", ".join(bounds)
        yield f"{text[0].upper()}{text[1:]}."
    if isinstance(default := schema.get("default"), bool | int | float | str) and default != "":
        yield f"Default: ``{str(default).lower() if isinstance(default, bool) else default}``."


def _type(schema: dict[str, Any]) -> str:
    """Name a schema's type, with a link where it is a schema of its own."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f":ref:`{name} <rest-{name.lower()}>`"
    if alternatives := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(_type(each) for each in alternatives)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "const" in schema:
        return f"``{schema['const']}``"
    if "enum" in schema:
        return " or ".join(f"``{value}``" for value in schema["enum"])
    return str(schema.get("format") or schema.get("type") or "any")


def _paragraphs(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield line.replace("`", "``")
    yield ""


def _table(*heads: str) -> Iterator[str]:
    yield from [".. list-table::", "   :header-rows: 1", ""]
    yield from _row(*heads)


def _row(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        mark = "   * -" if number == 0 else "     -"
        words = " ".join(cell.split()).replace("`` ", "`` ")
        yield f"{mark} {words if '``' in words or ':ref:' in words else words.replace('`', '``')}".rstrip()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("rest-reference", RestReference)
    return {"version": "1", "parallel_read_safe": True}
