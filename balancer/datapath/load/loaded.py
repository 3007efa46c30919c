"""What is loaded, whichever way: from the object that a release has, or from the source by bcc."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "c" / "forwarder.c"
RAW = "_raw"  # suffix of the variant for interfaces without Ethernet headers
PROGRAMS = ("outside_ingress", "tunnel_ingress", "owner_egress")
FAST = ("outside_xdp", "backbone_xdp")  # XDP


class ProgramForm(StrEnum):
    """Values of `load --programs`. `auto`: the object where the release has one, and never the source in its place."""

    AUTO = "auto"
    OBJECT = "object"
    SOURCE = "source"


class ProgramsNotLoaded(Exception):
    """The programs could not be compiled or loaded."""


@dataclass(slots=True)
class Loaded:
    """Descriptors of the programs and maps, valid while `owner` lives, and each program's instructions."""

    programs: dict[str, int]
    maps: dict[str, int]
    owner: Any = field(repr=False)
    instructions: Callable[[str], bytes] = field(repr=False)


def program_names(raw: bool, fast: bool) -> tuple[str, ...]:
    """Return the tc programs, with `raw` also those without Ethernet, with `fast` also those of XDP."""
    return (*PROGRAMS, *(name + RAW for name in PROGRAMS if raw), *(FAST if fast else ()))
