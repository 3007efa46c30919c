"""Bodies about the fleet's TCP Fast Open keys (RFC 7413)."""

from datetime import datetime

from pydantic import BaseModel, Field

from balancer.api.schemas import Body, Reason


class FastOpenRotation(Body):
    """Make a new key, chosen by the control plane."""

    reason: Reason = ""


class FastOpenKeyView(BaseModel):
    """One key, without what is secret; ids grow."""

    id: int
    at: datetime


class FastOpenKey(FastOpenKeyView):
    """One key."""

    key: str = Field(
        pattern=r"^[0-9a-f]{32}$", description="16 bytes.", examples=["00112233445566778899aabbccddeeff"]
    )


class FastOpenKeys(BaseModel):
    """Newest first: cookies are made with the first, and those of the second are still taken."""

    items: list[FastOpenKey] = Field(max_length=2)
