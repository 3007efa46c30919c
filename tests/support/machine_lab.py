"""The lab's network with machines in place of its edges: phone, ISPs and transit are namespaces.

The first machine has control plane and origin beside its edge, as the inventory `lab` says.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from debian_image import ROOT
from machine import Machine
from release_key import public_line

from lab import bird, resolver
from lab.namespace.daemons import bird_command as bird_command
from lab.namespace.daemons import spawn_daemon
from lab.namespace.network import build_network, remove_namespaces
from lab.namespace.place import LabFolder
from lab.namespace.processes import end_processes
from lab.secrets import make_certificates, write_secret
from lab.topology import BACKBONE, LAB, SERVICE_NAME, VIP, End, Topology

BIN = ROOT / ".venv" / "bin"


def _without_edges(topology: Topology) -> Topology:
    names = {"phone", *(carrier.name for carrier in topology.carriers())}
    return replace(
        topology,
        nodes=tuple(node for node in topology.nodes if node.name in names),
        links=tuple(link for link in topology.links if {link.left.node, link.right.node} <= names),
        backbone=(),
    )


class MachineLab:
    """Network, machines and what an operator has at hand: inventory, secrets, archives. A context manager.

    Subclasses say what a machine is. `controller` begins the commands that reach it, `control` is the address of the
    control plane, and `variables` are what the inventory `lab` says otherwise.
    """

    controller: Sequence[str] = ()
    control: str
    variables: ClassVar[Mapping[str, object]] = {}

    def __init__(self, folder: Path) -> None:
        self.place = LabFolder(f"vm{os.getpid()}", folder / "network")
        self.folder = folder
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Self:
        try:
            self._network()
            self._boot()
            self._neighbours()
            for machine in self.machines.values():
                machine.wait()
            self._secrets()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for machine in self.machines.values():
            machine.stop()
        if self.place.folder.exists():
            end_processes(self.place)
        remove_namespaces(self.place)

    def _network(self) -> None:
        topology = _without_edges(LAB)
        for node in topology.nodes:
            self.place.node(node.name).mkdir(parents=True)
        build_network(self.place, topology)

    def _boot(self) -> None:
        """Start the machines, each connected to its carrier and to the backbone."""
        raise NotImplementedError

    def _ip(self, node: str, words: str) -> None:
        subprocess.run(["ip", "-n", self.place.namespace(node), *words.split()], check=True)

    def _connect(self, name: str, carrier: End) -> None:
        """Bring up the other ends of a machine's two interfaces, which are there already."""
        self._ip(carrier.node, f"address add {carrier.address} dev {carrier.interface}")
        self._ip(carrier.node, f"link set {carrier.interface} up")
        self._ip(BACKBONE, f"link set {name} master bridge up")

    def _neighbours(self) -> None:
        for carrier in LAB.carriers():
            file = self.place.node(carrier.name) / "bird.conf"
            file.write_text(bird.bird_configuration(LAB, carrier, file.parent))
            spawn_daemon(self.place, carrier.name, "bird", *bird_command(self.place, carrier))
            if carrier.resolves:
                spawn_daemon(
                    self.place, carrier.name, "resolver", *resolver.resolver_command(LAB, carrier.name)
                )

    def _secrets(self) -> None:
        """What the operator's vault would hold."""
        made = self.folder / "secrets"
        make_certificates(made, control=(self.control,), service=(SERVICE_NAME, VIP))
        files = {
            "sennit_control_ca": "ca.pem",
            "sennit_control_tls_certificate": "control.pem",
            "sennit_vault_control_tls_key": "control.key",
            "sennit_service_tls_certificate": "service.pem",
            "sennit_vault_service_tls_key": "service.key",
        }
        values: dict[str, object] = {name: (made / file).read_text() for name, file in files.items()}
        values["sennit_release_signers"] = [public_line()]
        values["sennit_vault_admin_token"] = secrets.token_urlsafe(32)
        values["sennit_vault_fast_open_keys"] = secrets.token_hex(16)
        values["edge_tofu_certificate_file"] = str(made / "{{ inventory_hostname }}.certificate")
        values["edge_tofu_public_file"] = str(made / "{{ inventory_hostname }}.pub")
        values["backbone_wireguard_folder"] = str(made / "wireguard")
        write_secret(self.folder / "vault.json", json.dumps(values))
        (self.folder / "variables.json").write_text(json.dumps(self.variables))

    def playbook(
        self, name: str, archive: Path, *options: str, timeout: float = 3600
    ) -> "subprocess.CompletedProcess[str]":
        """Run a playbook over the inventory `lab`, as an operator would; NAME.log has its output, with times."""
        config = next(iter(self.machines.values())).ssh_config(list(self.machines.values()))
        return subprocess.run(
            [
                *self.controller,
                *(str(BIN / "ansible-playbook"), f"playbooks/{name}.yml", "-i", "inventories/lab"),
                *("-e", f"@{self.folder / 'vault.json'}", "-e", f"sennit_archive={archive}"),
                *("-e", "sennit_batch=100%", "-e", f"@{self.folder / 'variables.json'}"),
                *(f"--ssh-common-args=-F {config}", *options),
            ],
            cwd=ROOT / "ansible",
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOG_PATH": str(self.folder / f"{name}.log"),
                # machines of another lab have the same names: connections must not be shared
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "ssh"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def phone(self, *command: str) -> list[str]:
        """A command line that runs on the phone."""
        pairs = [f"{key}={value}" for key, value in resolver.resolver_environment(LAB, "phone").items()]
        return [*self.place.enter("phone"), "env", *pairs, *command]
