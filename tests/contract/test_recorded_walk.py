"""docs/operate/slow-origin.md is what tools/record_slow_origin.py writes: each step, and a scenario that passed."""

import re
from pathlib import Path

import record_slow_origin

from lab.scenarios.verdict import Verdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate" / "slow-origin.md").read_text()


def test_the_page_has_every_step_with_what_was_printed() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    kinds = [heading.partition(",")[0].lower() for heading in headings[:-1]]
    assert kinds == list(record_slow_origin.TEXT)
    for text in record_slow_origin.TEXT.values():
        assert text in PAGE
    blocks = re.findall(r"```sh\n(.+?)\n```\n\n```\n(.*?)\n```", PAGE, re.DOTALL)
    assert len(blocks) == len(kinds)
    assert all(command and printed.strip() for command, printed in blocks)


def test_the_scenario_passed_and_the_tool_writes_the_same_form() -> None:
    assert "missed" not in PAGE
    made = record_slow_origin.page_of(record_slow_origin.OperatorWalk(), Verdict("slow-origin", "namespaces"))
    assert PAGE.startswith(made.split("## What")[0].rstrip())
    assert (ROOT / "docs" / "images" / "slow-origin.png").exists()
