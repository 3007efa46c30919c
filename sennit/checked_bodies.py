"""Bodies of requests made of options: a value that the API would refuse is refused before it is sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from pydantic import BaseModel

Body = TypeVar("Body", bound="BaseModel")


def make_body(kind: type[Body], fields: Mapping[str, Any]) -> Body:
    """Return the body; CommandError, with status USAGE, names each field that is wrong."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        found = [(each["loc"], each["msg"].removeprefix("Value error, ")) for each in error.errors()]
        reasons = [f"{'.'.join(map(str, where))}: {message}".removeprefix(": ") for where, message in found]
        raise CommandError("; ".join(reasons), status=ExitStatus.USAGE) from None
