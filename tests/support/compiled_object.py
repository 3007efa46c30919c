"""The forwarder's object, compiled by clang once for each state of its sources, never in the checkout."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import compile_programs

from balancer.datapath.load.loaded import SOURCE
from runtime.bpf.source import object_path

KEEP = 86_400  # seconds


def compiled_object() -> Path:
    """Return the path of the object, in the user's cache; SENNIT_TEST_OBJECT names one on a machine without clang."""
    if given := os.environ.get("SENNIT_TEST_OBJECT"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sennit"
    tool = hashlib.sha256(Path(compile_programs.__file__).read_bytes()).hexdigest()[:8]
    path = cache / f"{object_path(SOURCE).stem}-{tool}.o"
    if not path.exists():
        for older in cache.glob(f"{SOURCE.stem}-*.o"):
            if older.stat().st_mtime < time.time() - KEEP:  # a younger one may be another checkout's
                older.unlink(missing_ok=True)
        compile_programs.compile_object(SOURCE, path)
    return path


def available_object() -> Path | None:
    """Return the object, None where there is neither clang nor a given one: then bcc compiles, four seconds a load."""
    has_clang = "SENNIT_TEST_OBJECT" in os.environ or all(
        shutil.which(name) for name in ("clang", "llvm-strip")
    )
    return compiled_object() if has_clang else None
