"""The origin's daemon: the application under uvicorn."""

import uvicorn

from origin.app import OriginApp
from origin.settings import OriginSettings


def run(settings: OriginSettings) -> None:
    """Serve until SIGTERM."""
    host, _, port = settings.listen.rpartition(":")
    app = OriginApp(settings.directory, settings.max_age)
    uvicorn.run(
        app, host=host.strip("[]"), port=int(port), access_log=False, lifespan="off", server_header=False
    )
