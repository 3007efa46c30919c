"""The key log: each key of a session when it is derived, in lines that open its records."""

import stat
from pathlib import Path

import pytest
from exchanges import Exchange
from loopback import LoopbackEdge, digest_of, read

from smkex.client.recording.key_log import KeyLog
from smkex.core.handshake.config import ClientConfig
from smkex.core.keys.aead_key import expand_secret
from smkex.core.keys.epoch_chain import EpochChain
from smkex.core.keys.key_schedule import KeySchedule


def test_each_key_is_reported_once_when_it_is_derived() -> None:
    found: list[tuple[bytes, str, bytes, bytes]] = []
    exchange = Exchange(config=ClientConfig(key_log=lambda *line: found.append(line)))
    exchange.run()
    assert found == []
    keys = exchange.client.established.keys
    chain = EpochChain(keys, "client")
    assert found == [], "a key is derived when it is first used"
    assert chain.find_key(0) is chain.find_key(0)
    keys.control_key("server", 1)
    assert chain.find_key(1) is chain.find_key(1)
    chain.advance_to(2)
    assert chain.find_key(1) is None
    assert chain.find_key(2) is not None
    assert [name for _, name, _, _ in found] == [
        "client data 0 0",
        "server control 0 1",
        "client data 0 1",
        "client data 0 2",
    ]
    assert {(session_id, len(key), len(iv)) for session_id, _, key, iv in found} == {
        (exchange.client.established.session_id, 16, 12)
    }


async def test_a_connection_writes_the_keys_that_its_records_are_sealed_under(tmp_path: Path) -> None:
    log = KeyLog(tmp_path / "keys")
    async with LoopbackEdge() as edge:
        connection = await edge.connect(key_log=log)
        connection.writer.write(b"%08d" % 1000)
        assert await read(connection, 1000) == digest_of(1000)
        await connection.close()
        established = edge.session.established
    log.close()
    lines = (tmp_path / "keys").read_text().splitlines()
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert {tuple(line.split()[:2]) for line in lines} == {("sennit-2", established.session_id.hex())}
    used = {" ".join(line.split()[2:6]) for line in lines}
    assert {"client data 0 0", "server data 0 0", "client control 0 0", "client control 0 1"} <= used
    assert used <= {
        f"{who} {use}" for who in ("client", "server") for use in ("data 0 0", "control 0 0", "control 0 1")
    }
    expected = aead_key_of(established.keys, "client control", b" path\1")
    assert f"client control 0 1 {expected}" in [line.split(maxsplit=2)[2] for line in lines]


def aead_key_of(keys: KeySchedule, name: str, info: bytes) -> str:
    """Key and IV as docs/protocol derives them, in hexadecimal."""
    secret = expand_secret(keys.root(name), keys.label + info)
    return " ".join(
        expand_secret(secret, keys.label + part, length).hex()
        for part, length in ((b" key", 16), (b" iv", 12))
    )


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        KeyLog(tmp_path / "missing" / "keys")
