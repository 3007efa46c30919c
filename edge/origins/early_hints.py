"""The extension of a request to the origin whose client takes early hints (RFC 8297)."""

import re

from edge.cache.rules.targeted import CDN_FIELDS
from edge.http.early_hints import EARLY_HINTS, hints_receiver
from edge.origins.exchange import end_to_end
from smkex.http.connection import ON_INTERIM, Headers, OnInterim

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_OWN = CDN_FIELDS | {"content-length"}


def hints_extension() -> dict[str, OnInterim]:
    """Pass the origin's 103 responses on to the client of the current task; other interim responses end here."""
    receiver = hints_receiver.get()
    if receiver is None:
        return {}

    def on_interim(status: int, headers: Headers) -> None:
        pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        if status == EARLY_HINTS and not any(_CONTROL.search(value) for _, value in headers):
            kept = [pair for pair in end_to_end(pairs) if pair[0] not in _OWN]
            receiver([(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept])

    return {ON_INTERIM: on_interim}
