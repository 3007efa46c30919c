"""Validate the fields of decoded JSON; each function raises `ValueError` that names the field."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from node.addresses import parse_unicast

KEY_BYTES = 32


def require_mapping(value: Any, name: str) -> Mapping[str, Any]:
    """Return `value` as an object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: not an object")
    return value


def read_sequence(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list."""
    value = fields.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name}: not a list")
    return value


def read_integer(fields: Mapping[str, Any], name: str, lowest: int, highest: int) -> int:
    """Return a field that is a whole number in these bounds."""
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{name}: not a whole number from {lowest} to {highest}")
    return value


def read_text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text of 1 to 64 characters."""
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise ValueError(f"{name}: not a text of 1 to 64 characters")
    return value


def read_choice(fields: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    """Return a field that is one of these words."""
    value = fields.get(name)
    if value not in choices:
        raise ValueError(f"{name}: none of {', '.join(choices)}")
    return str(value)


def read_address(
    fields: Mapping[str, Any], name: str, version: int, *, allow_loopback: bool = False
) -> str | None:
    """Return a field that is a unicast address of this version, compressed; None where it is null."""
    value = fields.get(name)
    if value is None:
        return None
    try:
        return parse_unicast(value, version, allow_loopback=allow_loopback)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def read_key(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is a public key (Ed25519, 32 bytes, base64); None where it is null."""
    value = fields.get(name)
    if value is None:
        return None
    try:
        whole = isinstance(value, str) and len(base64.b64decode(value, validate=True)) == KEY_BYTES
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"{name}: not {KEY_BYTES} bytes in base64")
    return str(value)
