"""Load the programs from an object compiled ahead, as a release has it: neither compiler nor headers are needed."""

from pathlib import Path

from balancer.datapath.load.loaded import Loaded, ProgramsNotLoaded, program_names
from balancer.datapath.maps.pins import SIZES
from runtime.bpf.object_file import ObjectFile, ObjectRefused


def load_object(path: Path, raw: bool = False, fast: bool = False) -> Loaded:
    """Load the programs; with `raw` also those without Ethernet, with `fast` also those of XDP.

    Raises `ProgramsNotLoaded`, `library.LibbpfMissing`.
    """
    names = program_names(raw, fast)
    try:
        owner = ObjectFile(path, names)
        programs = {name: owner.program(name) for name in names}
        maps = {name: owner.map(name) for name in SIZES}
    except ObjectRefused as error:
        raise ProgramsNotLoaded(
            f"{error}\nwith python3-bpfcc installed, `--programs source` compiles them here"
        ) from None
    return Loaded(programs, maps, owner, owner.instructions)
