"""`/v1/table/key`: the keys that tables are signed with, and the steps of their rotation."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends

from balancer.api.tables import KeyRotationRequest, KeyRotationView, TableKey, TableKeyLink
from balancer.control.authentication.dependencies import Admin, Anyone, Reader
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import refusal_responses
from balancer.control.table.signing_key import SigningKeys
from balancer.control.table_key.rotation import KeyRotation

router = APIRouter(prefix="/v1/table/key", tags=["table"])
KeysPart = Annotated[SigningKeys, Depends(provide_part(SigningKeys))]
RotationPart = Annotated[KeyRotation, Depends(provide_part(KeyRotation))]


@router.get("", responses=refusal_responses(401, 410))
async def get_table_key(keys: KeysPart, _: Anyone) -> TableKey:
    """Get the public key that tables are signed with, and the one that follows it during a rotation.

    Agents learn the first when they enrol, and believe another only where links lead to it.
    """
    public = keys.public
    return TableKey(
        algorithm="ed25519",
        key=base64.b64encode(public.current).decode(),
        next=base64.b64encode(public.following).decode() if public.following else None,
        links=[TableKeyLink(**link.to_json()) for link in public.links],
    )


@router.get("/rotation", responses=refusal_responses(401, 403))
async def show_key_rotation(rotation: RotationPart, _: Reader) -> KeyRotationView:
    """Show the keys that tables are signed with, and how many live nodes accept the newest."""
    return rotation.view()


@router.post("/rotation", responses=refusal_responses(401, 403, 409))
async def rotate_key(rotation: RotationPart, by: Admin, body: KeyRotationRequest) -> KeyRotationView:
    """Begin, finish or cancel a rotation of the key that signs tables, or replace a stolen one."""
    return await rotation.act(body.action, by.because(body.reason), force=body.force)
