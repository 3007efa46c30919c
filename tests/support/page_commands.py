"""The shell commands that a page of the documentation shows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def page_commands(page: str, until: str) -> list[str]:
    """Return the commands of the page's `sh` blocks before the heading `until`, continued lines joined."""
    text = (ROOT / page).read_text()
    return [
        command
        for block in re.findall(r"```sh\n(.*?)```", text[: text.index(until)], re.DOTALL)
        for command in re.sub(r"\\\n\s*", "", block).splitlines()
        if command and not command.startswith("#")
    ]
