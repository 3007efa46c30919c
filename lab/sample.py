"""The file that the lab's downloads are made of: random bytes, the same as long as the lab stands."""

import os
from pathlib import Path

SAMPLE = "sample.bin"
SAMPLE_BYTES = 24 << 20


def make_sample(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(SAMPLE_BYTES >> 20):
            file.write(os.urandom(1 << 20))
