"""Record the README's lab as a terminal session: `python tools/record_lab.py docs/lab.cast docs/lab.svg`, as root.

Runs the commands for real on a terminal of its own, and writes what they say with its times, for `asciinema play`
(version 2 of its format), and the same as a picture.
"""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from html import escape
from pathlib import Path

COLUMNS, ROWS = 148, 40
COMMANDS = (
    "sennit lab up",
    "sennit lab run first-download",
    "sennit lab exec phone -- sennit get smkex://cdn.lab/sample.bin --verbose -o /dev/null",
    "sennit lab link phone-ispb --delay 140ms --rate 50Mbit",
    "sennit lab exec phone -- sennit get smkex://cdn.lab/sample.bin -o /dev/null",
    "sennit lab link phone-ispb --clear",
    "sennit lab run route-flap",
    "sennit lab down",
)
TYPING, PAUSE = 0.03, 1.0  # seconds a letter; seconds between commands
PROMPT = ' class="p"'
Event = tuple[float, str]


class Recording:
    """What is seen, and when."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._started = time.monotonic()
        self._typed = 0.0

    def show(self, text: str) -> None:
        self.events.append((time.monotonic() - self._started + self._typed, text))

    def type(self, command: str) -> None:
        """Type the command letter by letter, without delays."""
        self.show("\x1b[1;32m$\x1b[0m ")
        for letter in command:
            self._typed += TYPING
            self.show(letter)
        self.show("\r\n")

    def run(self, command: str) -> int:
        self.type(command)
        leader, follower = pty.openpty()
        # the size of the terminal, which programs ask for
        subprocess.run(["stty", "rows", str(ROWS), "columns", str(COLUMNS)], stdin=follower, check=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "TERM": "xterm-256color"}
        process = subprocess.Popen(
            ["bash", "-c", command], stdin=follower, stdout=follower, stderr=follower, env=environment
        )
        os.close(follower)
        while process.poll() is None or select.select([leader], [], [], 0)[0]:
            if select.select([leader], [], [], 0.05)[0]:
                try:
                    self.show(os.read(leader, 65536).decode(errors="replace"))
                except OSError:  # everybody has let go of the terminal
                    break
        os.close(leader)
        self._typed += PAUSE
        return process.wait()


def cast(events: list[Event]) -> str:
    """The events as an asciicast, version 2."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "The lab of Sennit"}
    lines = [json.dumps(header), *(json.dumps([round(at, 3), "o", text]) for at, text in events)]
    return "\n".join(lines) + "\n"


def svg(events: list[Event]) -> str:
    """All that was shown, as a picture of a tall terminal."""
    shown = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", "".join(text for _, text in events)).replace("\r\n", "\n")
    # a line that was written over is the last that it was
    lines = [line.split("\r")[-1][:COLUMNS] for line in shown.rstrip("\n").split("\n")]
    width, height = 20 + round(COLUMNS * 7.25), 30 + 16 * len(lines)
    rows = "".join(
        f'<text x="12" y="{30 + 16 * number}"{PROMPT if line.startswith("$ ") else ""}>'
        f"{escape(line)}</text>\n"
        for number, line in enumerate(lines)
    )
    style = "text{font:12px monospace;fill:#ddd;white-space:pre}.p{fill:#8ae08a;font-weight:bold}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{style}</style><rect width="{width}" height="{height}" rx="8" fill="#1b1f24"/>\n{rows}</svg>\n'
    )


def main(target: str, picture: str) -> int:
    recording = Recording()
    for command in COMMANDS:
        if status := recording.run(command):
            print(f"{command}: status {status}: nothing is written", file=sys.stderr)
            return 1
    Path(target).write_text(cast(recording.events))
    Path(picture).write_text(svg(recording.events))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
