"""Compile the C programs with bcc. The only module here that imports it."""

from balancer.datapath.load.loaded import SOURCE, Loaded, ProgramsNotLoaded, program_names
from balancer.datapath.maps.pins import SIZES
from runtime.bpf.headers import HeadersMissing, own_headers
from runtime.bpf.source import source_for_bcc


def compile_and_load(
    raw: bool = False, fast: bool = False, more: str = "", programs: tuple[str, ...] = ()
) -> Loaded:
    """Compile (about a second) and load the programs; with `raw` also without Ethernet, with `fast` also in XDP.

    `more` is C source to append, which defines `programs` for benchmarks and tests; those whose name ends in _xdp are
    XDP programs. What compiler or verifier say is on stderr.

    Raises `ProgramsNotLoaded`.
    """
    try:
        from bcc import BPF
    except ImportError:
        raise ProgramsNotLoaded(
            "Python's bcc is missing: apt-get install python3-bpfcc (the package `bcc` elsewhere is another)"
        ) from None
    asked = {"-DRAW": raw, "-DFAST": fast, "-DREPEATED": bool(more)}
    flags = ["-DBCC", "-Wno-everything", *(flag for flag, wanted in asked.items() if wanted)]
    text = source_for_bcc(SOURCE, more)
    try:
        with own_headers():
            owner = BPF(text=text.encode(), cflags=flags)
            kinds = {
                name: BPF.XDP if name.endswith("_xdp") else BPF.SCHED_CLS
                for name in (*program_names(raw, fast), *programs)
            }
            loaded = {name: owner.load_func(name.encode(), kind).fd for name, kind in kinds.items()}
    except HeadersMissing as error:
        raise ProgramsNotLoaded(str(error)) from None
    except Exception as error:  # bcc raises bare Exceptions
        raise ProgramsNotLoaded(str(error) or "bcc could not compile the programs") from error
    maps = {name: owner[name.encode()].map_fd for name in SIZES}
    return Loaded(loaded, maps, owner, lambda name: bytes(owner.dump_func(name.encode())))
