"""What every fuzz target shares: coverage of smkex, libFuzzer's options, and the way to the support of the tests."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import atheris

HERE = Path(__file__).parent
INPUT_LIMIT = 4096  # bytes of one input
SECONDS_LIMIT = 5  # for one input: more is a hang
MEMORY_LIMIT = 640  # MB of the whole process: more is a leak, or a buffer without bound

sys.path += [str(HERE.parent / "support"), str(HERE.parent / "vectors")]


def covered() -> AbstractContextManager[None]:
    """Import within it what coverage is to guide through."""
    return atheris.instrument_imports(include=["smkex"])


def fuzz(one: Callable[[bytes], None]) -> None:
    """Run `one` on inputs until libFuzzer's options say stop. Whatever it raises is a finding."""
    options = [f"-max_len={INPUT_LIMIT}", f"-timeout={SECONDS_LIMIT}", f"-rss_limit_mb={MEMORY_LIMIT}"]
    again = f"{sys.executable} {sys.argv[0]}"  # how libFuzzer starts it once more, to merge
    atheris.Setup([again, *options, *sys.argv[1:]], one)
    atheris.Fuzz()
