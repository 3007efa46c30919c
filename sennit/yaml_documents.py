"""Documents of services as YAML: what JSON can say, and nothing else."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

SIZE_LIMIT = 1024 * 1024  # characters


class _PlainLoader(yaml.SafeLoader):
    """No aliases, no dates, no `on` and `off` for booleans, no name twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not supported", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str" or key.value in seen:
                why = f"{key.value!r} stands twice, or is no name"
                raise yaml.constructor.ConstructorError(None, None, why, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# scalars of JSON; everything else is text
_PlainLoader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", "null|~|", ["n", "~", ""]),
    ("bool", "true|false", ["t", "f"]),
    ("int", "-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})\\Z"), _first)


class _PlainDumper(yaml.SafeDumper):
    """Quotes what this loader, or another one, would not read as text."""


_PlainDumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()),
        *_PlainLoader.yaml_implicit_resolvers.get(first, ()),
    ]
    for first in yaml.SafeDumper.yaml_implicit_resolvers.keys() | _PlainLoader.yaml_implicit_resolvers.keys()
}


def parse_document_text(text: str) -> dict[str, Any]:
    """Parse YAML or JSON; raises ValueError that names the line."""
    if len(text) > SIZE_LIMIT:
        raise ValueError(f"more than {SIZE_LIMIT} characters")
    try:
        value = yaml.load(text, _PlainLoader)  # noqa: S506 (a safe loader, and stricter)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(value, dict):
        raise ValueError("not a document: `field: value` lines")
    return value


def format_document(document: dict[str, Any]) -> str:
    """Write a document as people edit it."""
    return yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, width=120)
