"""The newest ids that answers to heartbeats name, in memory."""

from dataclasses import dataclass


@dataclass(slots=True)
class NewestIds:
    """The newest purge and Fast Open key; 0 if there is none."""

    purge: int = 0
    fast_open_key: int = 0
