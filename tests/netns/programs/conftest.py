"""One lab for all tests of this folder, whose edges serve by name, and one capture service on its phone."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from capture_service import CaptureService, mounted_bpffs
from own_lab import own_lab

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, ORIGIN_PORT, SERVICE_NAME
from lab.wait import wait_for

ORIGIN = LAB.backbone_address("origin")
# services of kind tcp by the port of their target at the origin
TARGETS = {f"ssh.{SERVICE_NAME}": 2222, f"db.{SERVICE_NAME}": 5432, f"bulk.{SERVICE_NAME}": 7000}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    with own_lab("pr", tmp_path_factory.mktemp("lab")) as made:
        publish(NamespaceLab(made, LAB), tmp_path_factory.mktemp("documents"))
        yield made


def publish(lab: NamespaceLab, folder: Path) -> None:
    """Publish the origin as a service of kind http, and each target."""
    documents = {name.partition(".")[0]: tcp_document(name, port) for name, port in TARGETS.items()}
    documents["web"] = {
        "hostnames": [SERVICE_NAME],
        "origins": [{"name": "origin", "url": f"http://{ORIGIN}:{ORIGIN_PORT}"}],
    }
    for name, document in documents.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(document))
        lab.operate("services", "create", name)
        lab.operate("services", "edit", name, "--activate", "-f", str(file))
    everywhere = f"edges {len(lab.topology.edges())}/{len(lab.topology.edges())}"
    wait_for(
        "every service at every edge",
        lambda: all(everywhere in lab.operate("services", "show", name) for name in documents),
        60,
    )


def tcp_document(name: str, port: int) -> dict[str, object]:
    return {
        "kind": "tcp",
        "hostnames": [name],
        "targets": [{"host": ORIGIN, "port": port}],
        "required": {"both_paths": True},
    }


@pytest.fixture(scope="session")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted_bpffs(tmp_path_factory.mktemp("mounts") / "bpf") as mounted:
        yield mounted


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that users without root can enter."""
    with tempfile.TemporaryDirectory(prefix="sennit-capture-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def captured(place: LabFolder, bpffs: Path) -> Iterator[CaptureService]:
    """One running service for all programs of a module; names below the lab's go by sessions."""
    with tempfile.TemporaryDirectory(prefix="sennit-capture-") as folder:
        Path(folder).chmod(0o755)
        made = CaptureService(place, Path(folder), bpffs, (SERVICE_NAME, f"*.{SERVICE_NAME}"))
        made.start()
        yield made
        made.close()


@pytest.fixture
def service(place: LabFolder, bpffs: Path, open_folder: Path) -> Iterator[CaptureService]:
    """A capture service of the test's own, which the test starts."""
    made = CaptureService(place, open_folder, bpffs, (SERVICE_NAME,))
    yield made
    made.close()
