"""What edges are sent about the sites that shield services."""

from pydantic import BaseModel, Field


class ShieldEdgeView(BaseModel):
    """An edge of a shielding site that is up; `address` is that of its tunnels."""

    id: int
    name: str
    address: str = Field(examples=["10.255.0.1"])


class ShieldSitesView(BaseModel):
    """The sites that services name as their shield, and the secret by which edges know each other."""

    key: str = Field(pattern=r"^[0-9a-f]{64}$", description="32 bytes.", examples=["00" * 32])
    sites: dict[str, list[ShieldEdgeView]]
