"""Where a lab lives on this machine: its name, which begins every namespace's, and its folder."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabFolder:
    """A lab's name and folder; several labs with different places do not meet."""

    name: str
    folder: Path

    @classmethod
    def from_environment(cls) -> "LabFolder":
        """SENNIT_LAB_NAME (sennit) and SENNIT_LAB_STATE (/run/NAME-lab)."""
        name = os.environ.get("SENNIT_LAB_NAME", "sennit")
        return cls(name, Path(os.environ.get("SENNIT_LAB_STATE", f"/run/{name}-lab")))

    def namespace(self, node: str) -> str:
        return f"{self.name}-{node}"

    def namespace_file(self, node: str) -> Path:
        return Path("/run/netns") / self.namespace(node)

    def node(self, node: str) -> Path:
        """The folder of a node's state."""
        return self.folder / node

    def log(self, node: str, daemon: str) -> Path:
        return self.folder / "log" / f"{node}-{daemon}.log"

    def enter(self, node: str) -> list[str]:
        """What a command line begins with to run on a node. nsenter leaves mounts alone, unlike ip netns exec."""
        return ["nsenter", f"--net={self.namespace_file(node)}", "--"]
