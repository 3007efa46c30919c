"""What `sennit services` puts together of several answers; with `--json` each is one object."""

from pydantic import BaseModel

from balancer.api.figures import FiguresTotals
from balancer.api.origins import OriginView
from balancer.api.services import RevisionView, ServiceView


class ServiceActivity(FiguresTotals):
    """`top`: what services did in the last `seconds`, and what edges report of origins."""

    origins: list[OriginView]


class ShownService(BaseModel):
    """`show`: a service, the revision that is shown if it has any, and what edges report of its origins."""

    service: ServiceView
    revision: RevisionView | None
    origins: list[OriginView]
