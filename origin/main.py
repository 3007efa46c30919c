"""The origin's daemon: the application under uvicorn."""

import uvicorn

from origin.app import OriginApp
from origin.faults import App, Faults
from origin.settings import OriginSettings


def run(settings: OriginSettings) -> None:
    """Serve until SIGTERM."""
    host, _, port = settings.listen.rpartition(":")
    app: App = OriginApp(settings.directory, settings.max_age, settings.cache_control)
    if settings.faults:
        app = Faults(app)
    uvicorn.run(
        app, host=host.strip("[]"), port=int(port), access_log=False, lifespan="off", server_header=False
    )
