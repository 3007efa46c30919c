"""agent.alive and contact: when the agent last gave a sign of life, and last heard the control plane."""

import os
import time
from pathlib import Path

from node.state.boot_clock import BootMoment
from node.state.catalogue import AGENT_ALIVE, CONTACT


class LifeSign:
    """The agent's sign of life: a file whose time is the host's monotonic clock, which no correction moves."""

    def __init__(self, state: Path) -> None:
        self._state, self._path = state, AGENT_ALIVE.path_in(state)

    def give_sign(self) -> None:
        """Record that the agent is alive now."""
        AGENT_ALIVE.create_folder(self._state)
        self._path.touch()
        now = time.monotonic_ns()
        os.utime(self._path, ns=(now, now))

    def last_sign(self) -> float:
        """Return when the last sign was given (monotonic); minus infinity where none was since the host's start."""
        try:
            last = self._path.stat().st_mtime
        except OSError:
            return float("-inf")
        return last if last <= time.monotonic() else float("-inf")


def write_contact(state: Path, timestamp: str = "") -> None:
    """Record that the control plane has just said which table is the newest, by this signed timestamp."""
    CONTACT.write_object(state, {**BootMoment.now().to_json(), "timestamp": timestamp})


def read_timestamp(state: Path) -> str:
    """Return the signed timestamp of the last contact, not verified; empty where there is none."""
    try:
        return str(CONTACT.read_object(state).get("timestamp", ""))
    except (OSError, ValueError):
        return ""


def contact_age(state: Path) -> float | None:
    """Return the seconds since the last contact, infinity where it was before the host's start; None without any."""
    try:
        return BootMoment.from_json(CONTACT.read_object(state)).elapsed()
    except FileNotFoundError:
        return None
    except (OSError, TypeError, KeyError, ValueError):
        return float("inf")
