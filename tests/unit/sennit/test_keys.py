"""The commands of mode tofu, from a new fleet key to an edge that shows a certificate."""

import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from node.state.identity import NodeIdentity
from node.vip import Vip
from sennit.main import main
from smkex.core.wire.messages import Mode
from smkex.server.identity import Identity, IdentityUnusable

NODE = NodeIdentity(7, "edge7", Vip("main", "203.0.113.1", None, 443))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A fleet key, an edge's key, and its certificate for edge 7."""
    assert main(["fleet-key", "create", "-o", str(tmp_path / "fleet")]) == 0
    assert main(["edge-key", "create", "-o", str(tmp_path / "edge")]) == 0
    assert certify(tmp_path) == 0
    return tmp_path


def certify(folder: Path, edge_id: int = 7, days: int = 30) -> int:
    chosen = ["--key", str(folder / "fleet"), "--edge-id", str(edge_id), "--public", str(folder / "edge.pub")]
    return main(["fleet-key", "certify", *chosen, "--days", str(days), "-o", str(folder / "certificate")])


def identity(folder: Path) -> Identity:
    settings = EdgeSettings(tofu_key=folder / "edge", tofu_certificate=folder / "certificate")
    return load_identity(settings, NODE)


def test_an_edge_offers_tofu_while_its_certificate_holds(keys: Path) -> None:
    loaded = identity(keys)
    assert loaded.config().modes == (Mode.TOFU, Mode.OPPORTUNISTIC)
    assert loaded.reasons == []
    later = replace(loaded, clock=lambda: time.time() + 31 * 86_400)
    assert later.config().modes == (Mode.OPPORTUNISTIC,)
    assert later.config().long_term is None
    assert later.reasons == ["the tofu certificate has expired"]


def test_an_edge_does_not_start_with_what_does_not_fit(
    keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certify(keys, edge_id=8) == 0
    with pytest.raises(IdentityUnusable, match="names edge 8"):
        identity(keys)
    (keys / "edge").unlink()
    assert main(["edge-key", "create", "-o", str(keys / "edge")]) == 0
    (keys / "edge.pub").write_bytes((keys / "edge.pub").read_bytes())
    other = keys / "other"
    other.mkdir()
    assert main(["edge-key", "create", "-o", str(other / "edge")]) == 0
    assert certify(keys) == 0
    (keys / "edge").write_bytes((other / "edge").read_bytes())
    with pytest.raises(IdentityUnusable, match="is not for the key"):
        identity(keys)
    (keys / "certificate").write_text("nonsense")
    with pytest.raises(IdentityUnusable, match="not an edge certificate"):
        identity(keys)
    with pytest.raises(IdentityUnusable, match="belong together"):
        load_identity(EdgeSettings(tofu_key=keys / "edge"), NODE)


def test_private_keys_are_their_owners_and_never_replaced(
    keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("fleet", "edge"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
        before = (keys / name).read_bytes()
        kind = "fleet-key" if name == "fleet" else "edge-key"
        assert main([kind, "create", "-o", str(keys / name)]) == 1
        assert (keys / name).read_bytes() == before
    assert "never replaced" in capsys.readouterr().err


def test_fingerprints_agree(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["fleet-key", "show", str(keys / "fleet")]) == 0
    shown = capsys.readouterr().out.strip()
    assert main(["fleet-key", "show", str(keys / "certificate")]) == 0
    assert capsys.readouterr().out.startswith(f"{shown} certifies edge 7 until ")


@pytest.mark.parametrize(("edge_id", "days"), [(0, 30), (65536, 30), (7, 0), (7, 367)])
def test_what_cannot_be_certified(keys: Path, edge_id: int, days: int) -> None:
    assert certify(keys, edge_id, days) == 2


def test_known_hosts_are_listed_accepted_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--known-hosts", str(tmp_path / "known_hosts")]
    key = "SHA256:" + "A" * 43
    assert main(["known-hosts", "accept", *file, "cdn.example", key, "--pin", "203.0.113.1"]) == 0
    assert main(["known-hosts", "list", *file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"host": "cdn.example", "fingerprint": key, "addresses": ["203.0.113.1"]}
    ]
    assert main(["known-hosts", "accept", *file, "cdn.example", "MD5:00"]) == 2
    assert main(["known-hosts", "remove", *file, "unknown.example"]) == 1
    assert main(["known-hosts", "remove", *file, "cdn.example"]) == 0
    assert main(["known-hosts", "list", *file]) == 0
    assert capsys.readouterr().out == ""
