"""The JSON Schema of a service's document, and an example that has every part."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from services.document import ServiceDocument

DOCUMENT_EXAMPLE: dict[str, Any] = {
    "hostnames": ["www.example.org", "*.static.example.org"],
    "origins": [
        {
            "name": "eu",
            "url": "https://eu.origin.example:8443",
            "weight": 3,
            "host": "www.example.org",
            "tls": {"server_name": "origin.example"},
            "health": {"path": "/health", "interval": 5},
            "ejection": {"failures": 3, "seconds": 30},
        },
        {"name": "spare", "url": "http://192.0.2.7", "group": "backup"},
    ],
    "balancing": "hash-url",
    "shield": {"site": "a"},
    "cache": [
        {"path": "/api/*", "bypass": True},
        {
            "path": "/images/*",
            "lifetimes": {"override": 86400, "stale_if_error": 600},
            "key": {"query": "allow", "parameters": ["width"]},
        },
    ],
    "headers": {
        "origin": [{"action": "set", "name": "x-cdn", "value": "sennit"}],
        "client": [{"action": "remove", "name": "server"}],
    },
    "redirects": [{"path": "/old/*", "to": "https://www.example.org{path}{query}"}],
    "compression": {"codings": ["br", "gzip"]},
    "access": {"deny": ["198.51.100.0/24"]},
    "limits": {"requests_per_second": 50, "burst": 200},
    "required": {"modes": ["tofu", "mtls"], "both_paths": True},
    "log": {"sample": 0.1},
}


def document_schema(ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """Return the schema; its definitions are under `$defs`."""
    tagged: TypeAdapter[ServiceDocument] = TypeAdapter(
        Annotated[ServiceDocument, Field(discriminator="kind")]
    )
    return tagged.json_schema(ref_template=ref_template) | {"examples": [DOCUMENT_EXAMPLE]}
