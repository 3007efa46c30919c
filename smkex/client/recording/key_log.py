"""A file of session keys, for programs that open recordings (docs/protocol/key-log.md). Never written by default.

One line for each AEAD key, when it is derived: `sennit-2 SESSION-ID client|server data|control STEP NUMBER KEY IV`, in
hexadecimal but for the numbers of the key step and of the epoch or path.
"""

import logging
import os
from pathlib import Path

log = logging.getLogger("smkex.client.recording.key_log")


class KeyLog:
    """The file, created with mode 0600."""

    def __init__(self, path: Path) -> None:
        """Open it for appending. Raises OSError."""
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def log_key(self, session_id: bytes, name: str, key: bytes, iv: bytes) -> None:
        """Append the line of one key, in one write, so that several processes may share the file.

        A full disk costs the line, not the session.
        """
        line = f"sennit-2 {session_id.hex()} {name} {key.hex()} {iv.hex()}\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))
        except OSError as error:
            log.warning("key log %s: a line is lost: %s", self.path, error.strerror)

    def close(self) -> None:
        os.close(self._descriptor)
