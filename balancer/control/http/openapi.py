"""The OpenAPI document: FastAPI's, and the one shape in which every operation refuses (RFC 9457)."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from balancer.api.schemas import Problem
from balancer.control.http.problems import PROBLEM_CONTENT
from services.schema import document_schema

DESCRIPTION = """Who has which id, who is healthy and why, and who gets traffic.

Send `Authorization: Bearer TOKEN`. Listings come in pages: `limit` items beyond `after`; `next` is the following
`after`. Changes may carry `If-Match` with the ETag that was read, and a reason for the audit log in the header
`Sennit-Reason`. Refusals are `application/problem+json`; `errors` names each field."""


def install(app: FastAPI) -> None:
    """Make `/openapi.json` complete."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
            )
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            service = document_schema("#/components/schemas/{model}")
            for name, schema in (("Problem", problem), ("ServiceDocument", service)):
                made["components"]["schemas"] |= schema.pop("$defs") | {name: schema}
            for operations in made["paths"].values():
                for operation in operations.values():
                    default = {"description": "Any other refusal.", "content": PROBLEM_CONTENT}
                    operation["responses"].setdefault("default", default)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
