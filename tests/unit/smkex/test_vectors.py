"""The vectors: both roles give these bytes, and so does a client written from the description alone."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from stranger import Stranger

from smkex.core.config import ServerConfig
from smkex.core.errors import Code
from smkex.core.events import DataReceived
from smkex.core.frame import FrameReader, FrameType
from smkex.core.messages import Endpoint, Observation
from smkex.core.server_handshake import ServerHandshake
from smkex.core.session import Session

ROOT = Path(__file__).parents[3]
VECTORS = sorted((ROOT / "tests" / "vectors").glob("*.json"))
AEADS = {"AES_128_GCM": 1, "CHACHA20_POLY1305": 2}
MODES = {"OPPORTUNISTIC": 1, "TOFU": 2}


def test_the_files_are_what_the_code_gives() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tests" / "vectors" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    made = generate.files()
    assert sorted(made) == VECTORS
    for path, text in made.items():
        assert path.read_text() == text


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_strangers_client_gives_the_same_bytes(path: Path) -> None:
    vector = json.loads(path.read_text())
    inputs = {name: value for name, value in vector["inputs"].items() if isinstance(value, str)}
    stranger = Stranger(
        bytes.fromhex(inputs["session_id"]),
        bytes.fromhex(inputs["client_private_key"]),
        bytes.fromhex(inputs["client_nonce"]),
        inputs["server_name"].encode(),
        AEADS[vector["aead"]],
        MODES[vector["mode"]],
    )
    messages = {name: bytes.fromhex(value) for name, value in vector["messages"].items()}
    assert stranger.client_share == messages["client_share"]
    assert stranger.client_nonce == messages["client_nonce"]
    assert stranger.take_server_share(messages["server_share"]) == vector["inputs"]["edge_id"]
    assert stranger.take_server_nonce(messages["server_nonce"])
    assert stranger.th.hex() == vector["th"]
    if "fleet_fingerprint" in inputs:
        assert stranger.fleet == inputs["fleet_fingerprint"]
    for purpose, value in vector["keys"].items():
        assert stranger.key(purpose, len(value) // 2).hex() == value, purpose
    assert [stranger.finished(n) for n in (0, 1)] == [messages["finished_0"], messages["finished_1"]]
    assert stranger.seal(0, b"hello").hex() == vector["records"]["client 0 'hello'"]
    assert stranger.open(bytes.fromhex(vector["records"]["server 1<<34 'epoch 1'"])) == b"epoch 1"


def test_a_stranger_talks_to_the_edge() -> None:
    stranger = Stranger(b"s" * 16, b"k" * 32, b"n" * 32, b"")
    seen = [Observation(n, Endpoint(__import__("ipaddress").ip_address(f"192.0.2.{n}"), n)) for n in (1, 2)]
    server = ServerHandshake(ServerConfig(edge_id=300), stranger.client_share, seen[0], b"p" * 32)
    assert stranger.take_server_share(server.server_share) == 300
    assert stranger.take_server_nonce(server.receive_nonce(1, stranger.client_nonce, seen[1], b"m" * 32))
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
    assert named == {code.value: code.name.lower().replace("_", "-") for code in Code}
