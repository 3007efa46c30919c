"""The commands of mode tofu, from a new fleet key to an edge that shows a certificate."""

import argparse
import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from node.state.identity import NodeIdentity
from node.vip import Vip
from runtime.errors import CommandError
from sennit.main import main
from sennit.session_options import add_session_options, connect_options
from smkex.client.known_hosts import KnownHosts, name_key_text
from smkex.core.keys.keyfile import read_certificate, read_name_keys
from smkex.core.wire.messages import Mode
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup
from smkex.server.identity import Identity, IdentityUnusable

NODE = NodeIdentity(7, "edge7", Vip("main", "203.0.113.1", None, 443))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A fleet key, an edge's key, and its certificate for edge 7."""
    assert main(["fleet-key", "create", "-o", str(tmp_path / "fleet")]) == 0
    assert main(["edge-key", "create", "-o", str(tmp_path / "edge")]) == 0
    assert certify(tmp_path) == 0
    return tmp_path


def certify(folder: Path, edge_id: int = 7, days: int = 30, *more: str) -> int:
    chosen = ["--key", str(folder / "fleet"), "--edge-id", str(edge_id), "--public", str(folder / "edge.pub")]
    return main(
        ["fleet-key", "certify", *chosen, "--days", str(days), "-o", str(folder / "certificate"), *more]
    )


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


@pytest.mark.parametrize(("edge_id", "days"), [(0, 30), (65536, 30), (7, 0), (7, 91)])
def test_what_cannot_be_certified(keys: Path, edge_id: int, days: int) -> None:
    assert certify(keys, edge_id, days) == 2


def test_a_certificate_states_the_floor_before_which_others_are_revoked(keys: Path) -> None:
    floor = int(time.time()) - 7200
    assert certify(keys, 7, 30, "--revoke-before", str(floor)) == 0
    assert read_certificate((keys / "certificate").read_text()).floor == floor
    for wrong in (-1, floor + 7200):
        assert certify(keys, 7, 30, "--revoke-before", str(wrong)) == 2


def test_an_edge_accepts_the_groups_that_it_is_given_and_needs_one(keys: Path) -> None:
    assert identity(keys).config().groups == DEFAULT_GROUPS
    hybrid = EdgeSettings(kex="x25519mlkem768")
    assert load_identity(hybrid, NODE).config().groups == (NamedGroup.X25519MLKEM768,)
    for wrong in ("", "x448", "x25519,x25519"):
        with pytest.raises(ValidationError, match="name each group once"):
            EdgeSettings(kex=wrong)


def test_the_options_of_a_session_open_its_logs_and_name_its_groups(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_session_options(parser)
    files = ["--key-log", str(tmp_path / "keys"), "--qlog", str(tmp_path / "events")]
    options = connect_options(parser.parse_args([*files, "--kex", "x25519", "--strict"]))
    assert (options.kex, options.strict) == ((NamedGroup.X25519,), True)
    assert options.key_log is not None
    assert options.event_log is not None
    options.key_log.close()
    options.event_log.close()
    assert connect_options(parser.parse_args([])).kex == DEFAULT_GROUPS
    for option in ("--key-log", "--qlog"):
        with pytest.raises(CommandError, match=f"{option} .*No such file"):
            connect_options(parser.parse_args([option, str(tmp_path / "missing" / "file")]))
    with pytest.raises(SystemExit):
        parser.parse_args(["--kex", "x448"])


def test_known_hosts_are_listed_accepted_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--known-hosts", str(tmp_path / "known_hosts")]
    key = "SHA256:" + "A" * 43
    assert main(["known-hosts", "accept", *file, "cdn.example", key, "--pin", "203.0.113.1"]) == 0
    assert main(["known-hosts", "list", *file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "host": "cdn.example",
            "fingerprint": key,
            "addresses": ["203.0.113.1"],
            "floor": 0,
            "name_key": None,
        }
    ]
    assert main(["known-hosts", "accept", *file, "cdn.example", "MD5:00"]) == 2
    assert main(["known-hosts", "remove", *file, "unknown.example"]) == 1
    assert main(["known-hosts", "remove", *file, "cdn.example"]) == 0
    assert main(["known-hosts", "list", *file]) == 0
    assert capsys.readouterr().out == ""


def test_the_list_of_known_hosts_says_what_is_revoked_and_since_when_names_are_sealed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "known_hosts"
    fleet, made = tmp_path / "fleet.key", tmp_path / "name.keys"
    assert main(["fleet-key", "create", "-o", str(fleet)]) == 0
    fingerprint = capsys.readouterr().out.strip()
    assert main(["fleet-key", "name-key", "--key", str(fleet), "-o", str(made)]) == 0
    name_key = capsys.readouterr().out.strip()
    (kept,) = read_name_keys(made.read_text())
    assert name_key == name_key_text(kept.signed)
    assert made.stat().st_mode & 0o077 == 0
    file = ["--known-hosts", str(path)]
    assert main(["known-hosts", "accept", *file, "cdn.example", fingerprint, "--name-key", name_key]) == 0
    assert KnownHosts(path).entries()[0].name_key == kept.signed
    path.write_text(
        path.read_text() + f"b.example {fingerprint} 192.0.2.1 floor=1700000000\n"
        f"c.example {fingerprint} floor=9999999999999999999\n"
    )
    assert main(["known-hosts", "list", *file]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"cdn.example  {fingerprint}  name sealed, key of 20")
    assert second == f"b.example  {fingerprint}  192.0.2.1  revoked before 2023-11-14 22:13:20 UTC"
    assert third == f"c.example  {fingerprint}  revoked before unix time 9999999999999999999"
    assert main(["known-hosts", "list", *file, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["floor"] for each in shown] == [0, 1_700_000_000, 9_999_999_999_999_999_999]
    assert [each["name_key"] for each in shown] == [name_key, None, None]
    for host, key in (("d.example", "not base64"), ("d.example", "AAAA")):
        assert main(["known-hosts", "accept", *file, host, fingerprint, "--name-key", key]) == 2
    another = "SHA256:" + "A" * 43
    assert main(["known-hosts", "accept", *file, "d.example", another, "--name-key", name_key]) == 2
