"""The Wireshark dissector, run by tshark on a recording."""

import subprocess
from pathlib import Path

DISSECTOR = Path(__file__).parents[2] / "packaging" / "wireshark" / "sennit.lua"


def dissect(capture: Path, keys: Path | None, *fields: str) -> list[list[str]]:
    """The fields of each packet, all values of each in one text."""
    command = ["tshark", "-X", f"lua_script:{DISSECTOR}", "-o", "tcp.try_heuristic_first:TRUE"]
    command += ["-o", f"sennit.key_log:{keys}"] if keys is not None else []
    command += ["-r", str(capture), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "sennit.lua" not in done.stderr, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]
