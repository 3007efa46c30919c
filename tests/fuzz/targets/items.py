"""Control items, messages of steps, certificates, name keys, ServerInfo: read or refused, read again as written."""

from harness import covered, fuzz

with covered():
    from smkex.core.errors import SmkexError
    from smkex.core.handshake.server_info import ServerInfo
    from smkex.core.keys.certificate import EdgeCertificate
    from smkex.core.keys.name_key import NameKey
    from smkex.core.session.control_message import ControlMessage
    from smkex.core.session.step_message import StepMessage
    from smkex.core.wire.named_group import NamedGroup


def control(data: bytes) -> None:
    message = ControlMessage.parse(data)
    assert len(message.ranges) <= 31
    if message.acknowledged is not None:  # what ranges are relative to
        assert ControlMessage.parse(message.encode()) == message


def step_message(data: bytes) -> None:
    message = StepMessage.parse(data, NamedGroup.X25519MLKEM768 if len(data) > 1000 else NamedGroup.X25519)
    assert message.body == data
    assert len(message.value) >= 32


def certificate(data: bytes) -> None:
    read = EdgeCertificate.parse(data)
    assert read.encode() == data
    read.verify(read.edge_id, read.not_before)


def name_key(data: bytes) -> None:
    read = NameKey.parse(data)
    assert read.encode() == data
    read.verify()


def server_info(data: bytes) -> None:
    info = ServerInfo.parse(data)
    assert ServerInfo.parse(info.encode()) == info


def one(data: bytes) -> None:
    for reads in (control, step_message, certificate, name_key, server_info):
        try:
            reads(data)
        except SmkexError:
            continue


if __name__ == "__main__":
    fuzz(one)
