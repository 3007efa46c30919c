"""Values of a service's fields: canonical once parsed, so that two spellings of one thing are one."""

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from smkex.http.semantics.targets import normalize_target
from smkex.transport.routes.host_name import HostName

TEXT_LIMIT = 2048
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?|", re.ASCII)


class Part(BaseModel):
    """A part of a document: never changed, and an unknown field is refused, so that a typing error is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _number_only(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("not a number")
    return value


def _text_only(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _parse_field_name(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("not a field name (RFC 9110 section 5.1)")
    return text.lower()


def _parse_field_value(text: str) -> str:
    if _VALUE.fullmatch(text) is None:
        raise ValueError("not a field value: printable ASCII without spaces at its ends")
    return text


def _parse_path_glob(text: str) -> str:
    if not text.startswith("/") or re.search(r"[^!-~]|[?#]", text):
        raise ValueError("a path glob begins with / and has no query; * matches any characters, / as well")
    # as requests are: no dot segments, no needless percent-encoding
    return normalize_target(text.encode("ascii")).decode("ascii")


def _parse_cookie_name(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("not a cookie's name (RFC 6265 section 4.1.1)")
    return text


def parse_host_pattern(text: str) -> str:
    """Return a host name or `*.` and a host name in canonical form. Raises `ValueError`."""
    wildcard = "*." if text.startswith("*.") else ""
    name = HostName.parse(text.removeprefix("*."))
    if name.address is not None and wildcard:
        raise ValueError("a wildcard stands before a DNS name, not before an address")
    if wildcard and "." not in name.text:
        raise ValueError("a wildcard needs two labels behind it")
    return wildcard + name.text


Seconds = Annotated[
    float, Field(ge=0, le=10 * 365 * 86_400, description="Seconds."), BeforeValidator(_number_only)
]
Timeout = Annotated[float, Field(gt=0, le=3600, description="Seconds."), BeforeValidator(_number_only)]
Number = BeforeValidator(_number_only)
Boolean = Annotated[bool, Strict()]
Port = Annotated[int, Field(ge=1, le=65_535), Number]
Text = Annotated[str, Field(max_length=TEXT_LIMIT), BeforeValidator(_text_only)]
CookieName = Annotated[
    str, Field(min_length=1, max_length=128), BeforeValidator(_text_only), AfterValidator(_parse_cookie_name)
]
FieldName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_parse_field_name)]
FieldValue = Annotated[str, Field(max_length=TEXT_LIMIT), AfterValidator(_parse_field_value)]
HostPattern = Annotated[str, Field(max_length=4 * 253), AfterValidator(parse_host_pattern)]
Host = Annotated[str, Field(max_length=4 * 253), AfterValidator(lambda text: HostName.parse(text).text)]
PathGlob = Annotated[str, Field(max_length=TEXT_LIMIT), AfterValidator(_parse_path_glob)]
Prefix = Annotated[IPv4Network | IPv6Network, BeforeValidator(_text_only)]
# the name of a secret of the service, whose value the control plane keeps apart and gives to edges only
SecretName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Label = SecretName
