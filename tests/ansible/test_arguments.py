"""What the inventories give to the roles is what their argument specifications ask for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[2] / "ansible"
SECRETS = (
    *(
        "sennit_vault_admin_token",
        "sennit_vault_control_tls_key",
        "sennit_control_ca",
        "sennit_origin_listen",
    ),
    *("sennit_control_tls_certificate", "sennit_vault_bgp_password", "sennit_archive"),
)
ROLES = {
    "control": ["common", "control", "backbone", "observability"],
    "edges": ["common", "kernel", "backbone", "bird", "agent", "forwarder", "edge", "observability"],
}


@pytest.mark.parametrize("wireguard", [False, True], ids=["", "wireguard"])
@pytest.mark.parametrize("inventory", ["lab", "example"])
@pytest.mark.timeout(300)
def test_arguments_are_what_is_asked_for(inventory: str, wireguard: bool, tmp_path: Path) -> None:
    """Ansible validates a role's arguments before its first task; a tag that no task has leaves just that."""
    plays = [{"hosts": group, "gather_facts": False, "roles": roles} for group, roles in ROLES.items()]
    file = tmp_path / "play.yml"
    file.write_text(yaml.safe_dump(plays))
    values = dict.fromkeys(SECRETS, "a-word-of-16-letters")
    if wireguard:
        values |= {"sennit_wireguard": "true", "sennit_wireguard_endpoint6": "2001:db8::10"}
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible-playbook", "-i", f"inventories/{inventory}", file),
            *("-c", "local", "--tags", "nothing"),
            *(word for name, value in values.items() for word in ("-e", f"{name}={value}")),
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Validating arguments") == sum(len(roles) for roles in ROLES.values())
