"""What one edge says to the edge that shields a key, and how it knows that the answer is not the origin's."""

from edge.http.origin_response import OriginResponse
from edge.telemetry.recorded_peers import SHIELD_CLIENT_FIELD as SHIELD_CLIENT_FIELD

SHIELD_PURGE_FIELD = "sennit-shield-purge"  # number of the newest purge that the asking edge has applied
SHIELD_REFUSED_FIELD = "sennit-shield-refused"  # on responses that the shielding edge made itself


def is_refused_by_shield(answer: OriginResponse) -> bool:
    """Whether the shielding edge has no response of an origin: the asking edge asks the origins itself."""
    return any(name == SHIELD_REFUSED_FIELD for name, _ in answer.headers)
