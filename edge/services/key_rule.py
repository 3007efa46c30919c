"""What beside host and path is in the cache key: the query or a part of it, header fields, cookies.

A key is made of three parts, separated by spaces: host, target, and where fields or cookies count a digest of them.
Everything stored for one URL has the first two in common.
"""

import hashlib
import json
from collections.abc import Sequence
from urllib.parse import unquote_plus

from edge.cache.rules.variants import normalize_value
from edge.http.fields import Fields
from services.cache_rules import CacheKey, QueryKey

DIGEST_SIZE = 16  # bytes


class KeyRule:
    """Makes keys as a document's `key` says."""

    def __init__(self, key: CacheKey) -> None:
        self._query = key.query
        self._parameters = frozenset(key.parameters)
        self._headers = key.headers
        self._cookies = key.cookies

    def url_key(self, url: str) -> str:
        """Return host and target with what of the query counts; `url` is both, canonical."""
        plain, question, query = url.partition("?")
        if not question or self._query is QueryKey.ALL:
            return url
        kept = "&".join(filter(self._counts, query.split("&"))) if self._query is not QueryKey.NONE else ""
        return f"{plain}?{kept}" if kept else plain

    def _counts(self, parameter: str) -> bool:
        # some servers read ";" as "&": what a parameter hides behind it must not go uncounted
        if ";" in parameter:
            return True
        is_named = unquote_plus(parameter.partition("=")[0]) in self._parameters
        return bool(parameter) and is_named is (self._query is QueryKey.ALLOW)

    def request_suffix(self, fields: Fields) -> str:
        """Return the third part of the key, with the space before it; empty where no field counts."""
        if not self._headers and not self._cookies:
            return ""
        headers = [normalize_value(name, fields.get(name)) for name in self._headers]
        cookies = [_cookie_values(fields.get("cookie", ""), name) for name in self._cookies]
        text = json.dumps([headers, cookies], separators=(",", ":"))
        return " " + hashlib.blake2b(text.encode(), digest_size=DIGEST_SIZE).hexdigest()


def _cookie_values(cookie: str, name: str) -> Sequence[str]:
    """Return all values of a cookie: which of several an origin takes is not known."""
    pairs = (part.strip().partition("=") for part in cookie.replace(", ", ";").split(";"))
    return [value for found, equals, value in pairs if equals and found == name]
