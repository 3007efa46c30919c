"""A control plane for the commands that ask one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from free_ports import free_port

from balancer.control.app import create_app

ADMIN = "the-admin-token-of-this-test"


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A control plane that the environment names; returns a folder for files."""
    port = free_port()
    app = create_app(tmp_path / "control", ADMIN)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    (tmp_path / "token").write_text(ADMIN)
    monkeypatch.setenv("SENNIT_CONTROL_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("SENNIT_CONTROL_TOKEN_FILE", str(tmp_path / "token"))
    try:
        while not server.started:
            thread.join(0.02)
            assert thread.is_alive()
        yield tmp_path
    finally:
        server.should_exit = True
        thread.join(30)
