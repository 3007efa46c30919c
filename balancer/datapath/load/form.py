"""Load the programs as `load --programs` asks: from the object that a release has, or from the source by bcc."""

from pathlib import Path

from balancer.datapath.load.compile import compile_and_load
from balancer.datapath.load.loaded import SOURCE, Loaded, ProgramForm, ProgramsNotLoaded
from balancer.datapath.load.object import load_object
from runtime.bpf.source import object_path


def choose_form(asked: ProgramForm, given: Path | None) -> Path | None:
    """Return the object to load, None for the source. `given`: an object instead of the release's.

    Raises `ProgramsNotLoaded`.
    """
    path = given or object_path(SOURCE)
    if asked is ProgramForm.SOURCE:
        return None
    if path.exists():
        return path
    if asked is ProgramForm.AUTO and given is None:
        return None
    raise ProgramsNotLoaded(
        f"there is no {path}: releases have the object of their sources, a checkout where "
        "tools/compile_programs.py made it; --programs source compiles here"
    )


def load_programs(path: Path | None, raw: bool = False, fast: bool = False) -> Loaded:
    """Load the object, or compile the source. Raises `ProgramsNotLoaded`, `library.LibbpfMissing`."""
    return load_object(path, raw, fast) if path else compile_and_load(raw, fast)
