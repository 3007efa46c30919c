"""Build a release for another distribution than this machine's: in a bare root of it, from what is committed."""

import atexit
import contextlib
import functools
import shutil
from pathlib import Path

from bare_root import ROOT, BareRoot, RootFailed, bare_root

CHECKOUT = "apt-get update && apt-get install -y git make && git clone https://sennit.example/sennit.git && cd sennit"
PREPARE = (
    f"{CHECKOUT} && make install && sh tools/install-packages packages.release.debian"
    " && packaging/build-wheel /root/wheel"  # compiled once for all archives
)
BUILD = "SENNIT_WHEEL=$(echo /root/wheel/*.whl) packaging/build-archive"


def build_in_root(suite: str, *name: str) -> Path:
    """Return the archive, copied to this checkout's `dist`. Raises `RootFailed`."""
    root = _prepared_root(suite)
    built = root.run(f"{BUILD} {' '.join(name)}", 1800, "/root/sennit")
    if built.status:
        raise RootFailed(f"no release for {suite}: {built.said[-3000:]}")
    archive = root.folder / "root" / "sennit" / built.said.strip().splitlines()[-1]
    folder = ROOT / "dist" / archive.parent.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(archive.parent, folder)
    return folder / archive.name


@functools.cache
def _prepared_root(suite: str) -> BareRoot:
    """Return a root with a checkout and all that builds it, which goes when this process ends. Raises `RootFailed`."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    root = stack.enter_context(bare_root(suite))
    prepared = root.run(PREPARE, 3600)
    if prepared.status:
        raise RootFailed(f"nothing builds for {suite}: {prepared.said[-3000:]}")
    return root
