"""Write the bill of materials of a release: every locked Python library that it holds, as CycloneDX JSON.

python tools/bill_of_materials.py LOCK FILE: what has a marker for other platforms alone is left out. The document
is valid by the schema, and the same lock gives the same document. Debian's packages are not in it: the host has them.
"""

import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SPECIFICATION = "1.6"


def installed_here(lock: str) -> str:
    """Return the requirements of `lock` that fit this platform, with their hashes and without markers."""
    kept = []
    for entry in re.split(r"\n(?=\S)", lock.replace("\\\n", "")):
        written, *hashes = re.split(r"\s+(?=--hash=)", entry.strip())
        requirement = Requirement(written)
        if requirement.marker is None or requirement.marker.evaluate():
            kept.append(" ".join([f"{requirement.name}{requirement.specifier}", *hashes]))
    return "\n".join(kept) + "\n"


def write_bill(lock: Path, file: Path) -> None:
    """Write the bill. Raises CalledProcessError where it is not valid by the schema."""
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", "-"),
            *("--pyproject", ROOT / "pyproject.toml"),
            *("--mc-type", "application", "--spec-version", SPECIFICATION, "--output-format", "JSON"),
            *("--output-reproducible", "--validate", "--output-file", file),
        ],
        input=installed_here(lock.read_text()),
        text=True,
        check=True,
    )


if __name__ == "__main__":
    write_bill(Path(sys.argv[1]), Path(sys.argv[2]))
