"""The forwarder's object, compiled by clang once for each state of its sources, never in the checkout."""

import hashlib
import os
from pathlib import Path

import compile_programs

from balancer.datapath.load.loaded import SOURCE
from runtime.bpf.source import object_path


def compiled_object() -> Path:
    """Return the path of the object, in the user's cache; SENNIT_TEST_OBJECT names one on a machine without clang."""
    if given := os.environ.get("SENNIT_TEST_OBJECT"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sennit"
    tool = hashlib.sha256(Path(compile_programs.__file__).read_bytes()).hexdigest()[:8]
    path = cache / f"{object_path(SOURCE).stem}-{tool}.o"
    if not path.exists():
        for older in cache.glob(f"{SOURCE.stem}-*.o"):
            older.unlink()
        compile_programs.compile_object(SOURCE, path)
    return path
