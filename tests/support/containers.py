"""Machines as containers of systemd-nspawn: Debian's systemd on the kernel that is there, in namespaces of the lab.

The root folder is the baked image; what is written is gone at the end.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from debian_image import Image
from machine import Machine
from machine_lab import MachineLab

from lab.topology import BACKBONE, LAB, End

CONTROLLER = "10.255.0.254"  # whence an operator reaches the machines


class ContainerLab(MachineLab):
    """Edges are containers. Their backbone is a plain network, since WireGuard asks for a kernel that has it."""

    control = LAB.backbone_address("edge1")
    variables: ClassVar = {
        "sennit_wireguard": False,
        "sennit_probes": True,
        "sennit_outside_address": "10.1{{ sennit_edge_id }}.0.2",
        "sennit_backbone_interface": "bb0",
        "sennit_backbone_address": "10.255.0.{{ sennit_edge_id }}",
        "sennit_control_listen": f"{control}:8443",
        "sennit_control_url": f"https://{control}:8443",
        "sennit_origin_listen": f"{control}:8080",
        "sennit_origin_url": f"http://{control}:8080",
    }

    def __init__(self, folder: Path, image: Image, edges: Sequence[str]) -> None:
        super().__init__(folder)
        self._image, self._edges = image, edges
        self.controller = self.place.enter(BACKBONE)

    def _boot(self) -> None:
        self._ip(BACKBONE, f"address add {CONTROLLER}/24 dev bridge")
        for name in self._edges:
            mine, carrier, _ = LAB.ends(name)[0]
            backbone = next(end for end in LAB.backbone if end.node == name)
            subprocess.run(["ip", "netns", "add", self.place.namespace(name)], check=True)
            self._ip(name, "link set lo up")
            self._veth(mine, self.place.namespace(carrier.node), carrier.interface)
            self._veth(backbone, self.place.namespace(BACKBONE), name)
            self._connect(name, carrier)
            for route, gateway in LAB.gateways(name):
                self._ip(name, f"route add default via {gateway} dev {route.interface}")
            self.machines[name] = self._start(name)

    def _veth(self, end: End, peer_namespace: str, peer: str) -> None:
        self._ip(end.node, f"link add {end.interface} type veth peer name {peer} netns {peer_namespace}")
        self._ip(end.node, f"address add {end.address} dev {end.interface}")
        self._ip(end.node, f"link set {end.interface} up")

    def _start(self, name: str) -> Machine:
        command = [
            *("setpriv", "--pdeathsig", "TERM"),  # it must not outlive who started it
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--boot"),
            *(f"--directory={self._image.root}", "--volatile=overlay", f"--machine={name}"),
            f"--network-namespace-path={self.place.namespace_file(name)}",
            *(
                "--capability=all",
                "--system-call-filter=bpf perf_event_open",
            ),  # what the forwarder asks of its host
        ]
        with Machine.console_of(name, self.folder).open("w") as output:
            process = subprocess.Popen(
                command,
                # sysctls of the network may be set; the folder is read by several at once and written by none
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "SYSTEMD_NSPAWN_LOCK": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        address = LAB.backbone_address(name)
        return Machine(
            name,
            self.folder,
            self._image.ssh_key,
            process,
            address=address,
            port=22,
            controller=self.controller,
        )
