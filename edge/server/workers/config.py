"""Configuration that the supervisor gives a worker process: JSON in its environment, and inherited descriptors."""

import json
from dataclasses import asdict, dataclass
from typing import Any

CONFIG_VARIABLE = "SENNIT_WORKER"


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Index of the worker, secret of `steering`, settings, and descriptors by their use."""

    index: int
    secret: str
    settings: dict[str, Any]
    control: int
    listening: list[int]
    https: list[int]
    inbox: int
    peers: list[int]
    older: list[int]
    path_manager: int | None
    rates: int

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @property
    def descriptors(self) -> list[int]:
        single = [self.control, self.inbox, self.path_manager, self.rates]
        return [
            *self.listening,
            *self.https,
            *self.peers,
            *self.older,
            *(one for one in single if one is not None),
        ]
