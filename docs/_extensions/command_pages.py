"""The directive `command-reference`: every subcommand of `sennit`, its actions and options, from the parsers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from manual import Command


class CommandReference(SphinxDirective):
    """A section for each subcommand."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        from manual import all_commands

        text = "\n".join(line for command in all_commands() for line in reference(command))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def reference(command: "Command", underline: str = "-") -> Iterator[str]:
    """Write a command and its actions as reStructuredText."""
    yield from [command.name, underline * len(command.name), "", f"{_text(command.summary)}.", ""]
    yield from [".. code-block:: none", "", f"   {command.usage}", ""]
    for paragraph in command.description.split("\n\n"):
        yield from [_text(paragraph), ""]
    if command.options:
        yield from [".. list-table::", "   :widths: 35 65", ""]
        for option in command.options:
            yield from [f"   * - ``{option.written}``", f"     - {_text(option.help)}".rstrip()]
        yield ""
    for action in command.actions:
        yield from reference(action, "~")


def _text(words: str) -> str:
    """Keep words as they are: only backticks mark code."""
    escaped = " ".join(words.split()).replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|")
    return escaped.replace("_ ", "\\_ ").replace("`", "``")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-reference", CommandReference)
    return {"version": "1", "parallel_read_safe": True}
