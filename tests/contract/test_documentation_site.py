"""`make docs` is strict: what leads nowhere ends the build."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PICTURE = """<picture>
  <source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">
  <img src="{name}-light.svg" alt="a drawing">
</picture>
"""


def build(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Build a site of one page with the project's settings."""
    docs = folder / "docs"
    shutil.copytree(ROOT / "docs" / "_extensions", docs / "_extensions")
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    for name in ("pyproject.toml", "CITATION.cff", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder)
    for palette in ("light", "dark"):
        shutil.copy(ROOT / "docs" / "images" / f"overview-{palette}.svg", docs / f"drawing-{palette}.svg")
    (docs / "index.md").write_text(f"# One page\n\n{text}\n")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        docs,
        folder / "site",
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_sound_page_is_built_with_both_drawings(tmp_path: Path) -> None:
    done = build(
        tmp_path, "[here](#one-page) [there](../CONTRIBUTING.md)\n\n" + PICTURE.format(name="drawing")
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text()
    assert 'class="only-light"' in page
    assert 'class="only-dark"' in page
    assert "/blob/main/CONTRIBUTING.md" in page


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[a page](missing.md)", "missing.md"),
        ("[a place](#missing)", "missing"),
        ("[a file](../MISSING.md)", "MISSING.md"),
        ("![an image](missing.png)", "missing.png"),
        (PICTURE.format(name="missing"), "missing-light.svg"),
    ],
    ids=["page", "place", "file outside docs", "image", "picture"],
)
def test_what_leads_nowhere_ends_the_build(tmp_path: Path, text: str, named: str) -> None:
    done = build(tmp_path, text)
    assert done.returncode == 1, done.stderr
    assert named in done.stderr
