"""The two services of the lab: their documents, and how an operator publishes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.topology import LabOrigin, LabService, Topology

DOCUMENTS = "services"  # folder beside the control plane's, with one file a service


def origin_tls_files(folder: Path) -> tuple[Path, Path]:
    """Return certificate and key of the origin that speaks TLS, below the control plane's folder."""
    return folder / "origin.pem", folder / "origin.key"


def service_document(topology: Topology, service: LabService, authority: str) -> dict[str, Any]:
    """Return the document of a service; `authority` (PEM) has signed the certificate of the TLS origin."""
    return {
        "hostnames": list(service.hostnames),
        "origins": [_origin_entry(topology, origin, authority) for origin in service.origins],
        "headers": {"client": [{"action": "set", "name": "x-service", "value": service.name}]},
    }


def _origin_entry(topology: Topology, origin: LabOrigin, authority: str) -> dict[str, Any]:
    scheme = "https" if origin.tls else "http"
    return {
        "name": origin.name,
        "url": f"{scheme}://{topology.backbone_address('origin')}:{origin.port}",
        "ejection": {"failures": 2, "seconds": 5},
        **({"tls": {"ca": authority}} if origin.tls else {}),
    }


def publish_services(topology: Topology, control: Path, sennit: Callable[..., object]) -> None:
    """Create each service by `sennit` commands; a lab that has them gets a new revision of each."""
    folder = control / DOCUMENTS
    folder.mkdir(exist_ok=True)
    authority = (control / "ca.pem").read_text()
    for service in topology.services:
        file = folder / f"{service.name}.json"
        if not file.exists():
            sennit("services", "create", service.name)
        file.write_text(json.dumps(service_document(topology, service, authority), indent=2))
        sennit("services", "edit", service.name, "-f", str(file), "--activate")


def origin_options(topology: Topology, origin: LabOrigin, control: Path) -> list[str]:
    """Return the options of one origin's `sennit origin`, but for its directory."""
    options = ["--listen", f"{topology.backbone_address('origin')}:{origin.port}"]
    if origin.tls:
        certificate, key = origin_tls_files(control)
        options += ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    return [*options, "--faults"] if origin.faults else options
