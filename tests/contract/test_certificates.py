"""Every certificate that the project or its documentation makes passes strict verification (RFC 5280)."""

import json
import re
import ssl
import subprocess
import sys
from pathlib import Path

import certificates
import pytest
from strict_tls import handshake

from lab.secrets import make_certificates

ROOT = Path(__file__).parents[2]
OPERATE = ROOT / "docs" / "operate" / "README.md"
FILES = Path("inventories", "mine", "files")
BLOCKS = [
    block for block in re.findall(r"```sh\n(.*?)```", OPERATE.read_text(), re.DOTALL) if "openssl" in block
]
MTLS_VECTORS = sorted((ROOT / "tests" / "vectors").glob("mtls-*.json"))
# an authority by that of the second block, which signs the certificate in its place
BETWEEN = """
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=between -keyout between.key -out between.csr \\
  -addext keyUsage=critical,keyCertSign,cRLSign -addext basicConstraints=critical,CA:TRUE
cd inventories/mine/files
sign="openssl x509 -req -days 10 -copy_extensions copy"
$sign -in ../../../between.csr -CA control-ca.pem -CAkey ../../../ca.key -out ../../../between.pem
$sign -in ../../../control.csr -CA ../../../between.pem -CAkey ../../../between.key -out control.pem
"""
MAKERS = {
    "edge/origins/shield/fleet_identity.py",  # its own contexts verify strictly
    "docs/operate/README.md",
    "lab/secrets.py",
    "tests/support/certificates.py",
    "tests/vectors/tls_exchange.py",
    "tests/unit/balancer/api/test_trust.py",  # makes bad ones
}


def test_no_other_place_makes_certificates() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    makes = re.compile(r"CertificateBuilder\(|openssl req|openssl_certificate|\bx509_certificate")
    own = str(Path(__file__).relative_to(ROOT))
    found = {
        name
        for name in tracked.stdout.splitlines()
        if name.endswith((".py", ".md", ".yml", ".sh", "Dockerfile"))
        and makes.search((ROOT / name).read_text())
    }
    assert found - {own} == MAKERS


def test_the_labs_certificates(tmp_path: Path) -> None:
    make_certificates(tmp_path, control=("10.255.0.100", "127.0.0.1"), service=("cdn.lab", "203.0.113.1"))
    for name, hosts in {
        "control": ("10.255.0.100", "127.0.0.1"),
        "service": ("cdn.lab", "203.0.113.1"),
    }.items():
        for host in hosts:
            handshake(tmp_path / "ca.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}.key", host)


@pytest.mark.parametrize("host", ["127.0.0.1", "cdn.example"])
def test_the_certificates_of_tests(tmp_path: Path, host: str) -> None:
    certificate, key = certificates.identity(tmp_path, "server", host)
    handshake(certificate, certificate, key, host)


@pytest.mark.parametrize("vector", MTLS_VECTORS, ids=lambda path: path.stem)
def test_the_certificates_of_vectors(tmp_path: Path, vector: Path) -> None:
    recorded = json.loads(vector.read_text())["inputs"]["tls"]
    paths = tmp_path / "certificate", tmp_path / "key"
    for path, name in zip(paths, ("certificate", "certificate_private_key"), strict=True):
        path.write_text(recorded[name])
    handshake(paths[0], *paths, "cdn.example")


@pytest.mark.parametrize("block", BLOCKS, ids=["its own authority", "two levels"])
def test_the_commands_of_the_documentation(tmp_path: Path, block: str) -> None:
    files = _run(block, tmp_path)
    handshake(files / "control-ca.pem", files / "control.pem", tmp_path / "control.key", "10.20.0.10")


def test_an_authority_without_key_usage_is_refused(tmp_path: Path) -> None:
    left_out, count = re.subn(r' -addext "keyUsage=critical,[\w,]*keyCertSign,cRLSign"', "", BLOCKS[1])
    assert count == 1
    with pytest.raises(subprocess.CalledProcessError):  # the last command says so
        _run(left_out, tmp_path)
    files = tmp_path / FILES
    with pytest.raises(ssl.SSLCertVerificationError, match="key usage"):
        handshake(files / "control-ca.pem", files / "control.pem", tmp_path / "control.key", "10.20.0.10")


def test_a_renewed_certificate_is_of_the_same_authority(tmp_path: Path) -> None:
    files = _run(BLOCKS[1], tmp_path)
    authority = (files / "control-ca.pem").read_bytes()
    renewal = BLOCKS[1][BLOCKS[1].index("openssl req -newkey") :]
    _run(renewal, tmp_path)
    assert (files / "control-ca.pem").read_bytes() == authority
    handshake(files / "control-ca.pem", files / "control.pem", tmp_path / "control.key", "10.20.0.10")


def test_an_authority_between_may_stand_in_the_certificates_file(tmp_path: Path) -> None:
    files = _run(BLOCKS[1], tmp_path)
    _run(BETWEEN, tmp_path)
    with (files / "control.pem").open("a") as file:
        file.write((tmp_path / "between.pem").read_text())
    handshake(files / "control-ca.pem", files / "control.pem", tmp_path / "control.key", "10.20.0.10")


def _run(block: str, folder: Path) -> Path:
    """Run a block of commands as a reader would, and return the folder of the inventory's files."""
    (folder / FILES).mkdir(parents=True, exist_ok=True)
    subprocess.run(["bash", "-ec", block], cwd=folder, check=True, capture_output=True)
    return folder / FILES


def test_the_recorder_of_vectors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "vectors"))
    monkeypatch.delitem(sys.modules, "tls_exchange", raising=False)
    import tls_exchange

    for path, text in zip((tmp_path / "certificate", tmp_path / "key"), tls_exchange.identity(), strict=True):
        path.write_bytes(text)
    handshake(tmp_path / "certificate", tmp_path / "certificate", tmp_path / "key", tls_exchange.HOST)
