"""The services of an edge without a control plane."""

from edge.services.directory import ServiceDirectory
from edge.services.origin_side import OriginSide


def one_service(origins: OriginSide) -> ServiceDirectory:
    """One service for every name, in front of `origins`."""
    made = ServiceDirectory(lambda service: origins)
    made.use_default_service()
    return made
