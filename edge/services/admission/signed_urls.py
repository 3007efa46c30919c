"""Signed URLs (RFC 9246): a JSON Web Token in the URL or in a cookie says which URLs may be fetched, and until when.

Everything that a token asks for and that is not supported refuses it: encrypted client addresses (`cdniip`), token
renewal (`cdnistt`, `cdniets`, `cdnistd`), unknown critical claims.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from typing import Any

import regex
from joserfc import jwk, jws
from joserfc.errors import JoseError

ATTRIBUTE = "URISigningPackage"  # RFC 9246 section 3
ALGORITHMS = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256", "HS256", "HS384", "HS512")
UNDERSTOOD_CLAIMS = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "cdniv", "cdnicrit", "cdniuc"})
UNSUPPORTED_CLAIMS = ("cdniip", "cdniets", "cdnistt", "cdnistd")
SCHEMES = (
    "https",
    "http",
    "smkex",
)  # a session has none of its own: a URL of any of them names the same resource
MATCH_SECONDS = 0.02  # a pattern that takes longer matches nothing
PATTERN_LIMIT = 2048  # characters


class TokenRefused(Exception):
    """No token of the request allows it; the text says why."""


class UrlVerifier:
    """Verifies tokens of `issuers`, signed with any of `keys`; `audience` are the names of this service."""

    def __init__(self, issuers: Iterable[str], keys: Sequence[jwk.Key], audience: Iterable[str]) -> None:
        self._issuers = frozenset(issuers)
        self._keys = tuple(keys)
        self._audience = frozenset(audience)
        self._registry = jws.JWSRegistry(algorithms=list(ALGORITHMS))

    def verify_request(self, host: str, target: str, cookie: str, now: float) -> str:
        """Return the target without its token if that, or a cookie, allows it. Raises `TokenRefused`."""
        token, plain = split_token(target)
        if not token:
            token = _find_cookie(cookie)
        if not token:
            raise TokenRefused("a signed URL is required")
        self._verify_claims(self._read_claims(token), f"{host}{plain}", now)
        return plain

    def _read_claims(self, token: str) -> dict[str, Any]:
        for key in self._keys:
            try:
                found = jws.deserialize_compact(token, key, registry=self._registry)
                claims = json.loads(found.payload)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            if isinstance(claims, dict):
                return claims
        raise TokenRefused("the token is not signed with a key of this service")

    def _verify_claims(self, claims: dict[str, Any], url: str, now: float) -> None:
        if claims.get("iss") not in self._issuers:
            raise TokenRefused("the token's issuer is not one of this service")
        audience = claims.get("aud", [])
        named = [audience] if isinstance(audience, str) else audience
        if "aud" in claims and not (isinstance(named, list) and self._audience.intersection(map(str, named))):
            raise TokenRefused("the token is for another service")
        if not (_is_before(claims, "nbf", now) and _is_after(claims, "exp", now)):
            raise TokenRefused("the token has expired, or is not valid yet")
        if claims.get("cdniv", 1) != 1 or any(name in claims for name in UNSUPPORTED_CLAIMS):
            raise TokenRefused("the token has claims that are not supported")
        critical = str(claims.get("cdnicrit", ""))
        if not UNDERSTOOD_CLAIMS.issuperset(filter(None, (name.strip() for name in critical.split(",")))):
            raise TokenRefused("the token has critical claims that are not supported")
        container = claims.get("cdniuc")
        if not isinstance(container, str) or not matches_container(container, url):
            raise TokenRefused("the token is for another URL")


def split_token(target: str) -> tuple[str, str]:
    """Return the token in a target's query, empty if there is none, and the target without it."""
    path, question, query = target.partition("?")
    parameters = query.split("&") if question else []
    tokens = [each.partition("=")[2] for each in parameters if each.partition("=")[0] == ATTRIBUTE]
    if not tokens:
        return "", target
    rest = "&".join(each for each in parameters if each.partition("=")[0] != ATTRIBUTE)
    return tokens[0], f"{path}?{rest}" if rest else path


def matches_container(container: str, url: str) -> bool:
    """Return whether a URI container (RFC 9246 section 2.1.15) names a URL, given without its scheme."""
    kind, _, value = container.partition(":")
    if kind == "hash":
        algorithm, _, digest = value.partition(";")
        return algorithm == "sha-256" and any(_has_digest(f"{s}://{url}", digest) for s in SCHEMES)
    if kind == "regex" and len(value) <= PATTERN_LIMIT:
        return any(_matches_pattern(value, f"{scheme}://{url}") for scheme in SCHEMES)
    return False


def read_keys(secrets: Iterable[str]) -> list[jwk.Key]:
    """Return the keys of secrets with a JSON Web Key each; raises `ValueError`."""
    try:
        return [jwk.import_key(json.loads(secret)) for secret in secrets]
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"not a JSON Web Key: {type(error).__name__}") from None


def _matches_pattern(pattern: str, url: str) -> bool:
    try:
        return regex.fullmatch(pattern, url, timeout=MATCH_SECONDS) is not None
    except (regex.error, TimeoutError):
        return False


def _has_digest(url: str, digest: str) -> bool:
    found = base64.urlsafe_b64encode(hashlib.sha256(url.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(found, digest.rstrip("=").encode("utf-8", "replace"))


def _find_cookie(cookie: str) -> str:
    pairs = (part.strip().partition("=") for part in cookie.split(";"))
    return next((value for name, _, value in pairs if name == ATTRIBUTE), "")


def _is_before(claims: dict[str, Any], name: str, now: float) -> bool:
    return name not in claims or (_is_number(claims[name]) and claims[name] <= now)


def _is_after(claims: dict[str, Any], name: str, now: float) -> bool:
    return name not in claims or (_is_number(claims[name]) and claims[name] > now)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
