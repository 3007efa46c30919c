"""The Wireshark dissector, run by tshark on a recording."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

DISSECTOR = Path(__file__).parents[2] / "packaging" / "wireshark" / "sennit.lua"
UNPRIVILEGED = 65534  # the overflow user: from version 4.4 on Wireshark loads no script for root


def dissect(capture: Path, keys: Path | None, *fields: str) -> list[list[str]]:
    """The fields of each packet, all values of each in one text."""
    with tempfile.TemporaryDirectory(prefix="sennit-dissector-") as name:
        folder = Path(name)
        for file in (DISSECTOR, capture, *([keys] if keys is not None else [])):
            shutil.copy(file, folder)
            (folder / file.name).chmod(0o644)
        folder.chmod(0o755)
        command = ["tshark", "-X", f"lua_script:{DISSECTOR.name}", "-o", "tcp.try_heuristic_first:TRUE"]
        command += ["-o", f"sennit.key_log:{keys.name}"] if keys is not None else []
        command += ["-r", capture.name, "-T", "fields", *(word for field in fields for word in ("-e", field))]
        as_user = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups", "--"]
        done = subprocess.run(
            [*as_user, "env", "HOME=/nonexistent", *command] if _is_root() else command,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
        )
    assert done.returncode == 0, done.stderr
    assert "sennit.lua" not in done.stderr, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def _is_root() -> bool:
    return os.geteuid() == 0
