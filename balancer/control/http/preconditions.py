"""Optimistic concurrency: the ETag is the revision, and If-Match refuses a change to what has changed (RFC 9110)."""

from typing import Annotated

from fastapi import Header, Response

from balancer.control.http.problems import Refusal
from balancer.control.storage.records import Revised

IfMatch = Annotated[
    str | None,
    Header(max_length=200, description="Change it only if its ETag is still this one.", examples=['"12"']),
]


def set_etag(response: Response, revision: int) -> None:
    """Set the ETag to the revision."""
    response.headers["ETag"] = f'"{revision}"'


def check_etag(if_match: str | None, record: Revised) -> None:
    """Raise the Refusal 412 if If-Match names another revision; without If-Match do nothing."""
    if if_match is None or if_match.strip() == "*":
        return
    if f'"{record.revision}"' not in (each.strip() for each in if_match.split(",")):
        detail = f'it is "{record.revision}" by now: read it again before you change it'
        raise Refusal(412, "changed-meanwhile", detail, field="if-match")
