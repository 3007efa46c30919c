"""`/v1/services/NAME/secrets`: written here, read by edges only."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from balancer.api.schemas import Name
from balancer.api.services import SecretBody, SecretList, SecretView
from balancer.control.authentication.dependencies import Admin, Reader
from balancer.control.http.parts import StorePart, provide_part
from balancer.control.http.problems import refusal_responses
from balancer.control.services import secret_values
from balancer.control.services.endpoints import ServicePath
from balancer.control.services.sealing import SecretSeal

router = APIRouter(prefix="/v1/services/{name}/secrets", tags=["services"])
SealPart = Annotated[SecretSeal, Depends(provide_part(SecretSeal))]
SecretKey = Annotated[Name, Path(examples=["origin-key"])]


@router.get("", responses=refusal_responses(401, 403, 404))
async def list_secrets(store: StorePart, _: Reader, name: ServicePath) -> SecretList:
    """List the secrets of a service by name, without their values."""
    async with store.read() as session:
        return await secret_values.list_secrets(session, name)


@router.put("/{key}", responses=refusal_responses(401, 403, 404, 409))
async def put_secret(
    store: StorePart, seal: SealPart, by: Admin, name: ServicePath, key: SecretKey, body: SecretBody
) -> SecretView:
    """Write a secret; it is stored encrypted, and no answer contains it."""
    return await secret_values.put_secret(store, seal, name, key, body, by.because(body.reason))


@router.delete("/{key}", status_code=204, responses=refusal_responses(401, 403, 404, 409))
async def delete_secret(store: StorePart, by: Admin, name: ServicePath, key: SecretKey) -> None:
    """Delete a secret that the active revision does not name."""
    await secret_values.delete_secret(store, name, key, by)
