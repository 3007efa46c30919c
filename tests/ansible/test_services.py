"""Services as files of the inventory: applied once, nothing the second time, and only shown with --check."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from free_ports import free_port

from balancer.control.app import create_app

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ADMIN = "the-admin-token-of-this-test"
SHOP = """hostnames: [www.example.org]
origins: [{name: eu, url: "http://192.0.2.1"}]
access: {signed_urls: {issuers: ["https://shop.example"], keys: [url-key]}}
"""


@pytest.fixture
def control(tmp_path: Path) -> Iterator[str]:
    """A control plane on loopback, and an inventory that names it."""
    port = free_port()
    app = create_app(tmp_path / "control", ADMIN)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    (tmp_path / "token").write_text(ADMIN)
    folder = tmp_path / "inventory"
    (folder / "services").mkdir(parents=True)
    (folder / "services" / "shop.yml").write_text(SHOP)
    url = f"http://127.0.0.1:{port}"
    (folder / "hosts.yml").write_text(
        "control: {hosts: {here: {ansible_connection: local}}, vars: {ansible_become: false,"
        f" ansible_python_interpreter: {sys.executable}, sennit_control_url: '{url}',"
        f" sennit_admin_token_file: {tmp_path / 'token'},"
        " sennit_service_secrets: {shop: {url-key: the hidden value}}}}\n"
    )
    try:
        while not server.started:
            thread.join(0.02)
            assert thread.is_alive()
        yield url
    finally:
        server.should_exit = True
        thread.join(30)


def play(folder: Path, *flags: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    command = [BIN / "ansible-playbook", "-i", folder / "inventory", "playbooks/services.yml", *flags]
    done = subprocess.run(command, cwd=ROOT / "ansible", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def service(url: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/services/shop", headers={"Authorization": f"Bearer {ADMIN}"})


@pytest.mark.timeout(600)
def test_files_of_the_inventory_become_services(control: str, tmp_path: Path) -> None:
    shown = play(tmp_path, "--check")
    assert "+ hostnames:" in shown
    assert "changed=1" in shown
    assert service(control).status_code == 404
    applied = play(tmp_path)
    assert "the hidden value" not in applied
    assert service(control).json()["active"] == 1
    assert "changed=0" in play(tmp_path)
    (tmp_path / "inventory" / "services" / "shop.yml").write_text(SHOP.replace("192.0.2.1", "192.0.2.9"))
    assert "192.0.2.9" in play(tmp_path, "--check")
    assert service(control).json()["active"] == 1
    assert "changed=1" in play(tmp_path)
    assert service(control).json()["active"] == 2
