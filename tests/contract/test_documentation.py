"""What the documentation names exists, and its tables are the code's."""

import re
import subprocess
from pathlib import Path

import draw_diagrams
import draw_network
import pytest
from page_commands import page_commands

from balancer.model.verdict import EXPLAINED
from lab.namespace.hints import suggested_commands
from lab.namespace.place import LabFolder
from lab.topology import LAB
from sennit.commands import command_modules

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "packaging" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LISTED = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
SOURCES = [f"/{file}" for file in subprocess.check_output(LISTED, cwd=ROOT, text=True).splitlines()]
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, place in LINK.findall(page.read_text()):
        if target.startswith("https://"):
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not place or place in _places(there), f"{target}#{place}"


def _places(page: Path) -> set[str]:
    """What a link can name of a page: its headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        linked = {(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text()) if target}
        ahead += [there for there in linked - reached if there.suffix == ".md"]
    assert set(PAGES) - reached == set()


def test_the_drawing_of_the_lab_is_that_of_its_topology() -> None:
    drawn = draw_network.draw(LAB)
    assert drawn == (ROOT / "docs" / "network.svg").read_text(), (
        "python tools/draw_network.py docs/network.svg"
    )
    for node in LAB.nodes:
        for end in LAB.interfaces(node.name):
            assert f"{end.interface}  {end.address}" in drawn


def test_the_readme_begins_as_the_walkthrough_does() -> None:
    readme = page_commands("README.md", until="## Without Docker")
    walkthrough = page_commands("docs/walkthrough.md", until="## In network namespaces")
    assert readme[0].startswith("git clone ")
    assert readme[0].endswith(" && cd sennit")
    assert readme[1:] == walkthrough[: len(readme) - 1]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_images_exist_in_both_palettes(page: Path) -> None:
    text = page.read_text()
    for source in re.findall(r'(?:src|srcset)="([^"]+)"', text):
        assert (page.parent / source).exists(), source
    light, dark = (re.findall(rf'="([^"]+)-{name}\.svg"', text) for name in ("light", "dark"))
    assert light == dark


def test_the_diagrams_are_as_their_source_draws_them() -> None:
    for name, content in draw_diagrams.drawn().items():
        assert (draw_diagrams.FOLDER / name).read_text() == content, "python tools/draw_diagrams.py"


def test_the_architecture_lists_the_packages_as_they_are() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## Packages") : text.index("## Security boundaries")]
    rows = re.findall(r"^\| `([^`]+)` \|.*\| `([^`]+)` \|$", table, re.MULTILINE)
    for package, first in rows:
        assert (ROOT / package / first).is_file(), f"{package}/{first}"
    described = "\n".join(re.findall(r"^\| `.*", table, re.MULTILINE))
    for package in ("edge", "balancer/agent", "balancer", "smkex"):
        for room in (ROOT / package).iterdir():
            if room.is_dir() and not room.name.startswith("__"):
                assert f"`{room.name}`" in described or f"`{package}/{room.name}`" in described, room


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_source_files_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`([\w./-]+\.(?:py|h|c|pml|yml))(?:::\w+)?`", page.read_text()):
        assert any(file.endswith(f"/{name}") for file in SOURCES), name


def test_the_readmes_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    ("page", "end"),
    [("docs/walkthrough.md", "\n"), ("docs/lab.svg", "</text>\n"), ("docs/lab.cast", "\\r\\n")],
)
def test_a_page_shows_the_commands_that_the_lab_suggests(page: str, end: str) -> None:
    commands = suggested_commands(LabFolder("sennit", Path("/run/sennit-lab")))
    text = (ROOT / page).read_text()
    shown = text.split("lab: it stays up. Try:", 1)[1].split(end)[1 : len(commands) + 1]
    assert [line.partition("  ")[2] for line in shown] == list(commands)


def test_the_forwarders_page_explains_every_reason() -> None:
    text = (ROOT / "docs" / "forwarder" / "operation.md").read_text()
    section = text[text.index("## Reasons") :]
    found = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    rows = {name: cause for name, cause, _ in found}
    assert rows == {reason.name.lower(): meaning for reason, meaning in EXPLAINED.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_reasons_that_a_page_names_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:drop|reset|reply|icmp|site)_\w+)`", page.read_text()))
    assert named <= {reason.name.lower() for reason in EXPLAINED}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_that_a_page_shows_exist(page: Path) -> None:
    shown = set(re.findall(r"(?:^|`)sennit ([a-z][a-z-]*)", page.read_text(), re.MULTILINE))
    there = set(command_modules())
    assert shown <= there | {"help"}


def test_c_and_python_count_the_same_reasons() -> None:
    source = (ROOT / "balancer" / "datapath" / "c" / "layout.h").read_text()
    body = source[source.index("enum reason {") : source.index("#define MARK_TAG")]
    in_c = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", body)}
    assert in_c.pop("REASONS") == len(EXPLAINED)
    assert in_c == {reason.name: reason.value for reason in EXPLAINED}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tests_that_a_page_names_exist(page: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", page.read_text()):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (
            f"{file}::{name}"
        )


def test_every_claim_of_the_security_page_names_a_test() -> None:
    text = (ROOT / "docs" / "protocol" / "security.md").read_text()
    claims = text[text.index("## What is claimed") : text.index("## Assumptions")]
    rows = [
        line for line in claims.splitlines() if line.startswith("| ") and not line.startswith("| against")
    ]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []


def test_every_fault_names_its_tests_or_is_open() -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    assert len(rows) > 100
    assert [row for row in rows if ("::test_" in row) is row.endswith("| **open** |")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_python_of_a_page_imports_exists(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(block, page.name, "exec")
        for line in block.splitlines():
            if line.startswith(("import ", "from ")):
                exec(line, {})


# written by a run or a measurement, not by hand
WRITTEN_BY_RUNS = {"performance.md", "numbers.md", "CHANGELOG.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_who_acts(page: Path) -> None:
    """A pronoun such as `nobody` hides whether a client, a peer, an operator or an attacker is meant."""
    if page.name not in WRITTEN_BY_RUNS and not page.name.startswith("rehearsal"):
        vague = r"\b(whoever|no-?body|somebody|anybody|everybody|whence)\b"
        assert re.findall(vague, page.read_text(), re.IGNORECASE) == []


DECISIONS = sorted(page for page in (ROOT / "docs" / "decisions").glob("*.md") if page.name != "README.md")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_context_decision_and_cost(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Cost"]
    assert len(text.split()) <= 400
    title = text.splitlines()[0].removeprefix("# ")
    assert f"[{title}]({page.name})" in (page.parent / "README.md").read_text()
