"""`sennit agent --withdraw`: withdraw the VIP, whichever process announced it, and exit. For systemd's ExecStopPost."""

import asyncio

from balancer.agent.announce.announcement import Announcement
from balancer.agent.announce.bird import Bird
from balancer.agent.settings import AgentSettings


def configured_bird(settings: AgentSettings) -> Bird | None:
    """The BIRD that the settings name."""
    if settings.bird_socket is None:
        return None
    return Bird(settings.bird_socket, settings.bird_protocol, settings.bird_state_file)


def withdraw(settings: AgentSettings) -> None:
    """Withdraw; nothing where no BIRD is named. Raises `BirdError`."""
    if bird := configured_bird(settings):
        asyncio.run(bird.set_announcement(Announcement.NONE))
