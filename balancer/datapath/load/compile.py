"""Compile the C programs with bcc and load them into the kernel. The only module that imports bcc."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balancer.datapath.maps.pins import SIZES
from runtime.bpf.headers import own_headers

SOURCE = Path(__file__).parents[1] / "c"
RAW = "_raw"  # suffix of the variant for interfaces without Ethernet headers
PROGRAMS = ("outside_ingress", "tunnel_ingress", "owner_egress")
FAST = ("outside_xdp", "backbone_xdp")  # XDP


class CompileFailed(Exception):
    """The programs could not be compiled or loaded; the output of the compiler or verifier is on stderr."""


@dataclass(slots=True)
class Loaded:
    """Descriptors of the programs and maps, valid while `owner` lives."""

    programs: dict[str, int]
    maps: dict[str, int]
    owner: Any = field(repr=False)


def compile_and_load(
    raw: bool = False, fast: bool = False, more: str = "", programs: tuple[str, ...] = ()
) -> Loaded:
    """Compile (about a second) and load the programs; with `raw` also without Ethernet, with `fast` also in XDP.

    `more` is C source to append, which defines `programs` for benchmarks and tests; those whose name ends in _xdp are
    XDP programs.

    Raises `CompileFailed`, `headers.HeadersMissing`.
    """
    try:
        from bcc import BPF
    except ImportError:
        raise CompileFailed(
            "Python's bcc is missing: apt-get install python3-bpfcc (the package `bcc` elsewhere is another)"
        ) from None
    asked = {"-DRAW": raw, "-DFAST": fast, "-DREPEATED": bool(more)}
    flags = ["-Wno-everything", *(flag for flag, wanted in asked.items() if wanted)]
    names = (
        *PROGRAMS,
        *(name + RAW for name in PROGRAMS if raw),
        *(FAST if fast else ()),
        *programs,
    )
    with own_headers():
        try:
            owner = BPF(text=(program_source() + more).encode(), cflags=flags)
            kinds = {name: BPF.XDP if name.endswith("_xdp") else BPF.SCHED_CLS for name in names}
            loaded = {name: owner.load_func(name.encode(), kind).fd for name, kind in kinds.items()}
        except Exception as error:  # bcc raises bare Exceptions
            raise CompileFailed(str(error) or "bcc could not compile the programs") from error
    return Loaded(loaded, {name: owner[name.encode()].map_fd for name in SIZES}, owner)


def program_source(name: str = "forwarder.c") -> str:
    """Return the C program with each of its headers inlined once: bcc rewrites map lookups in the main file only."""
    return _inline_headers(name, set())


def _inline_headers(name: str, inlined: set[str]) -> str:
    if name in inlined:
        return ""
    inlined.add(name)
    own = re.compile(r'^#include "(\w+\.h)"$', re.MULTILINE)
    text = (SOURCE / name).read_text().replace("#pragma once\n", "")
    return own.sub(lambda found: _inline_headers(found[1], inlined), text)
