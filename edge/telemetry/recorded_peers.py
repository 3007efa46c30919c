"""Requests of other edges, recorded at the edge that shields a service: one id and one trace along the whole way.

The asking edge has proved by TLS to be of this fleet, and is believed what it says of the client.
"""

import ipaddress
import re

from edge.telemetry.connection_facts import SHIELD_MODE, ConnectionFacts
from edge.telemetry.recorded_application import Message, RecordedApplication
from edge.telemetry.request_record import (
    REQUEST_ID_FIELD,
    REQUEST_RECORD,
    SESSION_FIELD,
    VIA_SHIELD,
    RequestRecord,
)

SHIELD_CLIENT_FIELD = "sennit-shield-client"  # address of the client, between authenticated edges only
SESSION_LIMIT = 512  # characters of Sennit-Session
_ID = re.compile(r"[0-9a-f]{32}")


class RecordedPeers(RecordedApplication):
    """Wraps the application that answers other edges."""

    def _record_of(self, scope: Message) -> RequestRecord:
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        session = fields.get(SESSION_FIELD, "")[:SESSION_LIMIT]
        facts = ConnectionFacts(
            SHIELD_MODE, "tls", self._telemetry.owner, _address_of(fields.get(SHIELD_CLIENT_FIELD, ""))
        )
        facts.given_session = session
        given_id = fields.get(REQUEST_ID_FIELD, "")
        record = self._telemetry.begin_request(
            facts,
            scope["method"],
            self.target_of(scope),
            scope["headers"],
            given_id if _ID.fullmatch(given_id) else "",
        )
        record.via = VIA_SHIELD
        scope.setdefault("extensions", {})[REQUEST_RECORD] = record
        return record


def _address_of(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
