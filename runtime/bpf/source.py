"""The C source of a set of programs, in the form that each compiler takes, and the name of its compiled object."""

import hashlib
import re
from pathlib import Path

SHARED = Path(__file__).parent / "c"  # headers of every set
_INCLUDE = re.compile(r'^#include "(\w+\.h)"$', re.MULTILINE)
_MAP_CALL = re.compile(r"\bbpf_map_(lookup)_elem\(&(\w+), ")
_RESERVE = re.compile(r"\bbpf_ringbuf_reserve\(&(\w+), (.+), 0\)")


def source_for_bcc(source: Path, more: str = "") -> str:
    """Return a program with each of its headers inlined once, and `more` behind, with calls in bcc's form.

    bcc rewrites calls on maps in the main file only, in the form MAP.lookup(KEY), and not within macros.
    """
    text = _inline_headers(source.parent, source.name, set()) + more
    return _RESERVE.sub(r"\1.ringbuf_reserve(\2)", _MAP_CALL.sub(r"\2.\1(", text))


def _inline_headers(folder: Path, name: str, inlined: set[str]) -> str:
    if name in inlined:
        return ""
    inlined.add(name)
    text = _find_header(folder, name).read_text().replace("#pragma once\n", "")
    return _INCLUDE.sub(lambda found: _inline_headers(folder, found[1], inlined), text)


def _find_header(folder: Path, name: str) -> Path:
    own = folder / name
    return own if own.exists() else SHARED / name


def object_path(source: Path) -> Path:
    """Return where the object of a program is in a release. Its name has the digest of all sources.

    So an object compiled from other sources is not found.
    """
    digest = hashlib.sha256()
    for path in (*sorted(source.parent.glob("*.[ch]")), *sorted(SHARED.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return source.parent.parent / "objects" / f"{source.stem}-{digest.hexdigest()[:16]}.o"
