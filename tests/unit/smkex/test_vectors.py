"""The vectors: both roles give these bytes, and so does a client written from the description alone."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from stranger import CLASSICAL, HYBRID, Stranger
from stranger_tls import TlsStranger

from smkex.core.errors import AbortCode
from smkex.core.events import DataReceived
from smkex.core.handshake.config import ServerConfig
from smkex.core.handshake.server import ServerHandshake
from smkex.core.session.session import Session
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Endpoint, Observation

ROOT = Path(__file__).parents[3]
VECTORS = sorted((ROOT / "tests" / "vectors").glob("*.json"))
AEADS = {"AES_128_GCM": 1, "CHACHA20_POLY1305": 2}
MODES = {"OPPORTUNISTIC": 1, "TOFU": 2}


def test_the_files_are_what_the_code_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of mode mtls: all that follows from the recorded TLS."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "vectors"))
    made = importlib.import_module("generate").files()
    assert sorted(made) == VECTORS
    for path, text in made.items():
        assert path.read_text() == text


def stranger_of(vector: dict[str, Any]) -> Stranger:
    """A client with the vector's inputs, which has taken what path 0 brought."""
    inputs = vector["inputs"]
    aead, nonce = AEADS[vector["aead"]], bytes.fromhex(inputs["client_nonce"])
    messages = vector["messages"]
    if vector["mode"] == "MTLS":
        records = [(sender, bytes.fromhex(record)) for sender, record in inputs["tls"]["records"]]
        over_tls = TlsStranger(records, inputs["tls"]["key_log"], nonce, aead)
        over_tls.group = HYBRID if vector["group"] == "X25519MLKEM768" else CLASSICAL
        assert over_tls.exporter.hex() == inputs["tls"]["exporter"]
        assert over_tls.hellos.hex() == messages["hellos"]
        assert over_tls.client_info.hex() == messages["client_info"]
        assert over_tls.server_info.hex() == messages["server_info"]
        assert over_tls.session_id.hex() == inputs["session_id"]
        assert over_tls.edge_id == inputs["edge_id"]
        return over_tls
    given = ("session_id", "client_private_key", "client_kem_seed")
    session_id, private_key, kem_seed = (bytes.fromhex(inputs[name]) for name in given)
    name = inputs["server_name"].encode()
    groups = (HYBRID, CLASSICAL) if vector["group"] == "X25519MLKEM768" else (CLASSICAL,)
    key, ephemeral = (
        bytes.fromhex(inputs.get(name, "")) for name in ("name_key", "hpke_ephemeral_private_key")
    )
    stranger = Stranger(
        session_id,
        private_key,
        nonce,
        name,
        aead,
        MODES[vector["mode"]],
        kem_seed=kem_seed,
        groups=groups,
        name_key=key,
        ephemeral=ephemeral,
    )
    assert stranger.client_share.hex() == messages["client_share"]
    assert stranger.receive_server_share(bytes.fromhex(messages["server_share"])) == inputs["edge_id"]
    assert stranger.given_name_key.hex() == inputs.get("given_name_key", "")
    if "fleet_fingerprint" in inputs:
        assert (stranger.fleet, stranger.floor) == (inputs["fleet_fingerprint"], inputs["floor"])
    return stranger


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_strangers_client_gives_the_same_bytes(path: Path) -> None:
    vector = json.loads(path.read_text())
    stranger = stranger_of(vector)
    messages = {name.split()[0]: bytes.fromhex(value) for name, value in vector["messages"].items()}
    assert stranger.client_nonce == messages["client_nonce"]
    assert stranger.receive_server_nonce(messages["server_nonce"])
    assert messages["server_nonce"][-64:-32].hex() == vector["binding"]
    assert stranger.th.hex() == vector["th"]
    assert derived(stranger) == vector["keys"]
    for export in vector["exports"]:
        context = bytes.fromhex(export["context"])
        assert stranger.export(export["label"], context, export["length"]).hex() == export["secret"]
    assert [stranger.finished(n) for n in (0, 1)] == [messages["finished_0"], messages["finished_1"]]
    assert [stranger.ready(n) for n in (0, 1)] == [messages["ready_0"], messages["ready_1"]]
    for record in vector["records"]:
        sealed = stranger.seal(record["dsn"], bytes.fromhex(record["data"]), record["sender"])
        assert sealed.hex() == record["frame"]
        assert stranger.open(sealed, record["sender"]).hex() == record["data"]
    assert {record["dsn"] >> 24 for record in vector["records"]} == {0, 1}
    speaks(stranger, vector["controls"], 1)
    joins(stranger, vector, vector["join"])
    steps(stranger, vector)


def derived(stranger: Stranger) -> dict[str, str]:
    """Every root, and keys and IVs of two epochs and of both paths of the exchange, by their names in a vector."""
    purposes = ["server mac", "client finished", "server ready"]
    purposes += [f"{who} {use}" for use in ("join", "data", "control") for who in ("client", "server")]
    found = {purpose: stranger.root(purpose) for purpose in [*purposes, "step", "exporter", "session tag"]}
    for who in ("client", "server"):
        secrets = {f"data {epoch}": stranger.epoch_secret(who, epoch) for epoch in (0, 1)}
        secrets |= {f"control {path}": stranger.control_secret(who, path) for path in (0, 1)}
        for name, secret in secrets.items():
            found[f"{who} {name} key"], found[f"{who} {name} iv"] = stranger.key_and_iv(secret)
    return {name: value.hex() for name, value in found.items()}


def speaks(stranger: Stranger, controls: list[dict[str, Any]], path: int, joined: bytes = b"") -> None:
    assert {control["sender"] for control in controls} == {"client", "server"}
    for control in controls:
        items = bytes.fromhex(control["items"])
        sealed = stranger.control(path, control["counter"], items, control["sender"], joined)
        assert sealed.hex() == control["frame"]


def steps(stranger: Stranger, vector: dict[str, Any]) -> None:
    """A key step: its messages, the keys that it gives, and what both ends send under them."""
    step = vector["step"]
    given = {name: bytes.fromhex(value) for name, value in step["inputs"].items() if isinstance(value, str)}
    messages = [(each["sender"], each["path"], bytes.fromhex(each["body"])) for each in step["messages"]]
    (_, _, share), (_, _, answer), (_, _, nonce), (_, _, binding), (_, _, finished) = messages
    epoch = step["inputs"]["epochs"][0]
    sealed = [
        stranger.control(each["path"], each["counter"], bytes.fromhex(each["body"]), each["sender"], kind=18)
        for each in step["messages"]
    ]
    begun = stranger.begin_step(
        given["client_private_key"], given["client_kem_seed"], given["client_nonce"], epoch
    )
    assert begun == (share, nonce)
    assert stranger.finish_step(answer, binding) == finished
    assert [frame.hex() for frame in sealed] == [each["frame"] for each in step["messages"]]
    assert (stranger.step, stranger.th.hex()) == (step["step"], step["th"])
    assert {purpose: stranger.root(purpose).hex() for purpose in step["roots"]} == step["roots"]
    for end in step["changed"]:
        switch = stranger.control(0, 0, bytes.fromhex(end["items"]), end["sender"], kind=19)
        assert switch.hex() == end["switch"]
        for record in end["records"]:
            frame = stranger.seal(record["dsn"], bytes.fromhex(record["data"]), end["sender"])
            assert frame.hex() == record["frame"]
            assert stranger.open(frame, end["sender"]).hex() == record["data"]
    joins(stranger, vector, step["join"])


def joins(stranger: Stranger, vector: dict[str, Any], join: dict[str, Any]) -> None:
    session_id, nonce = bytes.fromhex(vector["inputs"]["session_id"]), bytes.fromhex(join["client_nonce"])
    assert stranger.join(session_id, join["path"], nonce).hex() == join["join"]
    response = stranger.answer_challenge(bytes.fromhex(join["join_challenge"]))
    assert response is not None
    assert response.hex() == join["join_response"]
    assert stranger.join_hash.hex() == join["jh"]
    speaks(stranger, join["controls"], 2, stranger.join_hash)


@pytest.mark.parametrize("name", ["mtls-aes-128-gcm", "mtls-aes-128-gcm-hello-retry"])
def test_one_changed_byte_of_recorded_tls_changes_the_binding(name: str) -> None:
    """So the vectors could fail: of every message that the binding covers."""
    vector = json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text())
    answer = bytes.fromhex(vector["messages"]["server_nonce"])
    hellos = bytes.fromhex(vector["messages"]["hellos"])
    for at in range(0, len(hellos), 97):
        stranger = stranger_of(vector)
        assert isinstance(stranger, TlsStranger)
        stranger.hellos = hellos[:at] + bytes([hellos[at] ^ 1]) + hellos[at + 1 :]
        assert not stranger.receive_server_nonce(answer)


def test_a_stranger_talks_to_the_edge() -> None:
    stranger = Stranger(b"s" * 16, b"k" * 32, b"n" * 32, b"")
    seen = [Observation(n, Endpoint(__import__("ipaddress").ip_address(f"192.0.2.{n}"), n)) for n in (1, 2)]
    server = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=300), stranger.client_share, seen[0], b"p" * 32
    )
    assert stranger.receive_server_share(server.server_share) == 300
    assert stranger.receive_server_nonce(server.receive_nonce(1, stranger.client_nonce, seen[1], b"m" * 32))
    for path in (0, 1):
        server.receive_finished(path, stranger.finished(path))
    session = Session(server.established.keys, "server")
    session.add_path(0, FrameReader(), 0.01, 0.0)
    assert session.receive(0, stranger.seal(0, b"question"), 0.0) == [DataReceived(b"question")]
    session.write(b"answer")
    sent = session.data_to_send(0, 0.0)
    assert sent[0] == FrameType.DATA
    assert stranger.open(sent) == b"answer"


def test_the_description_names_every_code() -> None:
    text = (ROOT / "docs" / "protocol" / "README.md").read_text()
    table = text[text.index("| code | error |") : text.index("## The session")]
    named = {int(number): name for number, name in re.findall(r"\| (\d+) \| ([a-z-]+) ", table)}
    assert named == {code.value: code.name.lower().replace("_", "-") for code in AbortCode}
