"""Exports and the tag of a session: the same at both ends, different in everything else."""

import pytest
from exchanges import Exchange

from smkex.core.handshake.config import ClientConfig
from smkex.core.keys.exporter import EXPORT_LIMIT
from smkex.core.wire.messages import Aead


def test_both_ends_export_the_same_and_nothing_else_gives_it() -> None:
    exchange, other = Exchange(), Exchange(config=ClientConfig(aeads=(Aead.CHACHA20_POLY1305,)))
    exchange.run()
    other.run()
    client, server = exchange.client.established.exporter, exchange.server.established.exporter
    assert client.tag == server.tag != other.client.established.exporter.tag
    wanted = ("label", b"context", 32)
    secret = client.export(*wanted)
    assert secret == server.export(*wanted)
    others = [other.client.established.exporter.export(*wanted), client.tag]
    others += [client.export(*each) for each in (("labe", b"lcontext", 32), ("label", b"", 32))]
    assert secret not in others
    assert client.export("label", b"context", 64)[:32] == secret


def test_an_export_is_as_long_as_hkdf_permits() -> None:
    exchange = Exchange()
    exchange.run()
    exporter = exchange.client.established.exporter
    assert len(exporter.export("label", b"", EXPORT_LIMIT)) == EXPORT_LIMIT
    for label, length in (("label", 0), ("label", EXPORT_LIMIT + 1), ("", 32)):
        with pytest.raises(ValueError, match="needs a label"):
            exporter.export(label, b"", length)
    with pytest.raises(UnicodeEncodeError):
        exporter.export("l\xe4bel", b"", 32)
    assert repr(exporter) == f"SessionExporter({exporter.tag.hex()})"
