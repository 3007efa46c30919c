"""Query parameters in their plain form, validated as FastAPI does, without what FastAPI does around it."""

import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

_PLAIN = re.compile(rb"[a-z_]+=[0-9.]+(?:&[a-z_]+=[0-9.]+)*")


class PlainQuery:
    """The numeric parameters of an operation: their annotations by name, as the operation has them."""

    def __init__(self, **parameters: Any) -> None:
        self._parameters = {name: TypeAdapter[Any](kind) for name, kind in parameters.items()}

    def parse(self, query: bytes) -> dict[str, Any] | None:
        """Return the parameters that are given; None for anything but numbers, each once and within its bounds."""
        if not query:
            return {}
        if not _PLAIN.fullmatch(query):
            return None
        found: dict[str, Any] = {}
        for part in query.decode("ascii").split("&"):
            name, _, value = part.partition("=")
            parameter = self._parameters.get(name)
            if parameter is None or name in found:
                return None
            try:
                found[name] = parameter.validate_python(value)
            except ValidationError:
                return None
        return found
