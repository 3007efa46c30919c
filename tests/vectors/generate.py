"""Make the test vectors from fixed inputs: `python tests/vectors/generate.py` writes the JSON files beside it.

Each holds every input, message and key of one exchange, in hexadecimal, then records, control messages and a join of
its session. What OpenSSL draws at random (ML-KEM's encapsulation, TLS in mode mtls) is an input: a recording, kept as
it is unless `--record` asks for another.
"""

import json
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import hpke_stranger
import tls_exchange
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smkex.core.handshake.client import ClientHandshake
from smkex.core.handshake.config import ClientConfig, ClientEntropy, LongTermKey, ServerConfig
from smkex.core.handshake.established import Established
from smkex.core.handshake.join import Join, JoinAcceptor, JoinInitiator
from smkex.core.handshake.server import ServerHandshake
from smkex.core.keys.aead_key import AEAD_NONCE_LENGTH, KEY_LENGTH, expand_secret
from smkex.core.keys.certificate import EdgeCertificate, fleet_key_fingerprint
from smkex.core.keys.epoch_chain import EPOCH_LENGTH, EPOCH_SHIFT, EpochChain
from smkex.core.keys.key_agreement import encapsulate_mlkem
from smkex.core.keys.key_schedule import ROOTS, STEP_ROOTS, KeySchedule
from smkex.core.keys.name_key import NameKey, NamePrivateKey
from smkex.core.session.control_message import ControlMessage, ControlSealer
from smkex.core.session.record import seal
from smkex.core.session.step_exchange import StepAnswerer, StepAttempt
from smkex.core.session.step_message import StepMessage
from smkex.core.wire.frame import STEP_TYPE, SWITCH_TYPE, FrameType
from smkex.core.wire.messages import Aead, ClientShare, Endpoint, Mode, Observation, Ready, ServerNonce
from smkex.core.wire.named_group import DEFAULT_GROUPS, MLKEM_KEY_LENGTH, NamedGroup

FOLDER = Path(__file__).parent
FLEET_KEY, LONG_TERM_KEY, FLOOR = bytes(range(160, 192)), bytes(range(192, 224)), 1_699_000_000
NAME_PRIVATE_KEY, OLD_NAME_PRIVATE_KEY, EPHEMERAL = (bytes(range(n, n + 32)) for n in (11, 22, 44))
NOT_BEFORE, NOW, NOT_AFTER = 1_700_000_000, 1_700_500_000, 1_702_592_000
ENTROPY = ClientEntropy(bytes(range(16)), bytes(range(32, 64)), bytes(range(64, 96)), bytes(range(64, 128)))
SERVER_PRIVATE_KEY, SERVER_NONCE = bytes(range(96, 128)), bytes(range(128, 160))
JOIN_NONCES = bytes(range(1, 33)), bytes(range(33, 65))
CELLULAR, WIFI = tls_exchange.CELLULAR, Observation(9, Endpoint(ip_address("192.0.2.20"), 50000))
CABLE = Observation(5, Endpoint(ip_address("2001:db8::30"), 60000))
EXPORTS = (("example", b"", 16), ("example", b"context", 32), ("another", b"context", 48))
CONTROLS = (  # one of each item, then many at once
    ControlMessage(5, 1000, 1234),
    ControlMessage(final=9),
    ControlMessage(abort=22),
    ControlMessage(100, 1000, 0, ranges=((110, 120), (65536, 131072))),
    ControlMessage(ping=1),
    ControlMessage(0, 8 << 20, pong=7),
    ControlMessage(removed=frozenset({0, 3})),
    ControlMessage(backup=frozenset({1}), backup_state=3),
    ControlMessage(backup=frozenset(), backup_state=4),
    ControlMessage(scheduler=2, scheduler_state=1 << 40),
    ControlMessage(rehome=True),
    ControlMessage(step=1, step_from=1 << 24),
    ControlMessage(step_wanted=2),
    ControlMessage(
        5, 1 << 20, 1, 20, None, ((7, 9),), 2, 3, frozenset({0}), frozenset({2}), 5, 3, 5, True, 1, 5, 2
    ),
)
# of the key step; the KEM seed is the handshake's, to which the recorded encapsulation is
STEP_KEYS, STEP_NONCES = (
    (bytes(range(65, 97)), bytes(range(97, 129))),
    (bytes(range(129, 161)), bytes(range(161, 193))),
)
STEP_EPOCHS = (0, 1)  # of client and edge


def long_term() -> LongTermKey:
    """The edge's key of mode tofu and its certificate (Ed25519 signatures are deterministic, RFC 8032)."""
    share = X25519PrivateKey.from_private_bytes(LONG_TERM_KEY).public_key().public_bytes_raw()
    fleet = Ed25519PrivateKey.from_private_bytes(FLEET_KEY)
    return LongTermKey(LONG_TERM_KEY, EdgeCertificate.issue(fleet, 7, share, NOT_BEFORE, NOT_AFTER, FLOOR))


def name_key(private: bytes, serial: int) -> NamePrivateKey:
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return NamePrivateKey(
        private, NameKey.issue(Ed25519PrivateKey.from_private_bytes(FLEET_KEY), public, serial)
    )


def make(
    mode: Mode, aead: Aead, group: NamedGroup, encapsulated: dict[str, str], *, sealed: bool = False
) -> dict[str, Any]:
    """Run one exchange with inputs that are all different; what ML-KEM encapsulated is a recording.

    With `sealed` the name is sealed under a key that is no longer the newest, so that the edge gives that one.
    """
    certified = long_term() if mode is Mode.TOFU else None
    config = ClientConfig(
        server_name="cdn.example", modes=(mode,), aeads=(aead,), groups=_offer(group), now=NOW
    )
    new, old = name_key(NAME_PRIVATE_KEY, NOW), name_key(OLD_NAME_PRIVATE_KEY, NOT_BEFORE)
    if sealed:
        config = replace(config, name_key=old.signed)
    client = ClientHandshake.begin(
        config,
        ENTROPY,
        lambda public, clear, info: hpke_stranger.seal(public, EPHEMERAL, info, b"", clear),
    )
    server = ServerHandshake.answer_client_share(
        ServerConfig(edge_id=7, modes=(mode,), long_term=certified, name_keys=(new, old) if sealed else ()),
        client.client_share,
        CELLULAR,
        SERVER_PRIVATE_KEY,
        lambda _: (bytes.fromhex(encapsulated["secret"]), bytes.fromhex(encapsulated["ciphertext"])),
    )
    client.receive(0, FrameType.SERVER_SHARE, server.server_share)
    inputs = {
        "session_id": ENTROPY.session_id.hex(),
        "client_private_key": ENTROPY.private_key.hex(),
        "client_kem_seed": ENTROPY.kem_seed.hex(),
        "server_private_key": SERVER_PRIVATE_KEY.hex(),
        **({"encapsulated": encapsulated} if group is NamedGroup.X25519MLKEM768 else {}),
        **(_tofu_inputs() if certified else {}),
        **(_name_inputs(new, old) if sealed else {}),
    }
    first = {"client_share": client.client_share.hex(), "server_share": server.server_share.hex()}
    return _rest(mode, aead, client, server, inputs, first, encapsulated)


def _offer(group: NamedGroup) -> tuple[NamedGroup, ...]:
    """Both groups where the hybrid is to be chosen, so that the shares' order is seen."""
    return DEFAULT_GROUPS if group is NamedGroup.X25519MLKEM768 else (group,)


def encapsulate() -> dict[str, str]:
    """Encapsulate to the client's key: the one input that cannot be given, so it is recorded."""
    client = ClientHandshake.begin(ClientConfig(), ENTROPY)
    key = dict(ClientShare.parse(client.client_share).shares)[NamedGroup.X25519MLKEM768][:MLKEM_KEY_LENGTH]
    secret, ciphertext = encapsulate_mlkem(key)
    return {"secret": secret.hex(), "ciphertext": ciphertext.hex()}


def make_mtls(aead: Aead, recorded: dict[str, Any], encapsulated: dict[str, str]) -> dict[str, Any]:
    """Go on from recorded TLS on path 0."""
    outcome = tls_exchange.read(recorded, aead)
    client = ClientHandshake.after_tls(ClientConfig(), outcome, ENTROPY.nonce)
    server = ServerHandshake.after_tls(ServerConfig(edge_id=7), outcome)
    first = {
        "hellos": outcome.hellos.hex(),
        "client_info": outcome.client_info.hex(),
        "server_info": outcome.info.hex(),
    }
    inputs = {"session_id": outcome.session_id.hex(), "tls": recorded}
    return _rest(Mode.MTLS, aead, client, server, inputs, first, encapsulated)


def _rest(
    mode: Mode,
    aead: Aead,
    client: ClientHandshake,
    server: ServerHandshake,
    inputs: dict[str, Any],
    first: dict[str, str],
    encapsulated: dict[str, str],
) -> dict[str, Any]:
    """Path 1, and all that follows."""
    answer = server.receive_nonce(1, client.client_nonce, WIFI, SERVER_NONCE)
    client.receive(1, FrameType.SERVER_NONCE, answer)
    for path in (0, 1):
        server.receive_finished(path, client.finished(path))
    keys = client.established.keys
    return {
        "mode": mode.name,
        "aead": aead.name,
        "group": client.established.group.name,
        "inputs": {
            **inputs,
            "client_nonce": ENTROPY.nonce.hex(),
            "server_nonce": SERVER_NONCE.hex(),
            "server_name": "cdn.example",
            "edge_id": 7,
            "observed": [[7, "198.51.100.10", 40000], [9, "192.0.2.20", 50000]],
        },
        "messages": {
            **first,
            "client_nonce": client.client_nonce.hex(),
            "server_nonce": answer.hex(),
            "finished_0": client.finished(0).hex(),
            "finished_1": client.finished(1).hex(),
            "ready_0 (transport mptcp only)": Ready.build(0, keys.ready(0)).frame.hex(),
            "ready_1 (transport mptcp only)": Ready.build(1, keys.ready(1)).frame.hex(),
        },
        "binding": ServerNonce.parse(answer).binding.hex(),
        "th": keys.th.hex(),
        "keys": _keys(keys),
        "exports": [_export(client.established, *each) for each in EXPORTS],
        "records": _records(client.established.keys, server.established.keys),
        "controls": [each for sender in ("client", "server") for each in _controls(keys, sender, 1)],
        "join": _join(keys, bytes.fromhex(inputs["session_id"])),
        "step": _step(
            client.established, server.established, bytes.fromhex(inputs["session_id"]), encapsulated
        ),
    }


def _keys(keys: KeySchedule) -> dict[str, str]:
    """Every root, and the AEAD keys of two epochs and of the paths of the exchange."""
    found = {purpose: bytes(keys.root(purpose)) for purpose in ROOTS}
    for who in ("client", "server"):
        secret = keys.root(f"{who} data")
        for epoch in (0, 1):
            found |= _aead_key(keys, f"{who} data {epoch}", secret)
            secret = expand_secret(secret, keys.label + b" next")
        for path in (0, 1):
            secret = expand_secret(keys.root(f"{who} control"), keys.label + b" path" + bytes([path]))
            found |= _aead_key(keys, f"{who} control {path}", secret)
    return {purpose: value.hex() for purpose, value in found.items()}


def _export(established: Established, label: str, context: bytes, length: int) -> dict[str, Any]:
    secret = established.exporter.export(label, context, length)
    return {"label": label, "context": context.hex(), "length": length, "secret": secret.hex()}


def _aead_key(keys: KeySchedule, name: str, secret: bytes) -> dict[str, bytes]:
    return {
        f"{name} key": expand_secret(secret, keys.label + b" key", KEY_LENGTH[keys.aead]),
        f"{name} iv": expand_secret(secret, keys.label + b" iv", AEAD_NONCE_LENGTH),
    }


def _records(client: KeySchedule, server: KeySchedule) -> list[dict[str, Any]]:
    """Of each end: the first record, the last of epoch 0 (it reaches over), and the first of epoch 1."""
    said = (
        (0, b"hello"),
        (5, bytes(range(256))),
        (EPOCH_LENGTH - 3, b"epoch 0"),
        (EPOCH_LENGTH + 11, b"epoch 1"),
    )
    found = []
    for sender, keys in (("client", client), ("server", server)):
        chain = EpochChain(keys, sender)
        for dsn, words in said:
            data = sender.encode() + b" " + words
            frame = seal(chain, dsn, data).frame
            found.append({"sender": sender, "dsn": dsn, "data": data.hex(), "frame": frame.hex()})
    return found


def _controls(keys: KeySchedule, sender: str, path: int, joined: bytes = b"") -> list[dict[str, Any]]:
    sealer = ControlSealer(keys, sender, path, joined)
    return [
        {
            "sender": sender,
            "path": path,
            "counter": counter,
            "items": control.encode().hex(),
            "frame": sealer.seal(control).hex(),
        }
        for counter, control in enumerate(CONTROLS)
    ]


def _join(keys: KeySchedule, session_id: bytes) -> dict[str, Any]:
    initiator = JoinInitiator(keys, session_id, 2, JOIN_NONCES[0])
    acceptor = JoinAcceptor(keys, Join.parse(initiator.join), CABLE, JOIN_NONCES[1])
    response, joined, _ = initiator.answer_challenge(acceptor.challenge)
    acceptor.verify(response)
    return {
        "path": 2,
        "client_nonce": JOIN_NONCES[0].hex(),
        "server_nonce": JOIN_NONCES[1].hex(),
        "observed": [5, "2001:db8::30", 60000],
        "join": initiator.join.hex(),
        "join_challenge": acceptor.challenge.hex(),
        "join_response": response.hex(),
        "jh": joined.hex(),
        "controls": [
            each for sender in ("client", "server") for each in _controls(keys, sender, 2, joined)[:2]
        ],
    }


def _step(
    client: Established, server: Established, session_id: bytes, encapsulated: dict[str, str]
) -> dict[str, Any]:
    """Step 1, shares on path 0 and nonces on path 1; then, of each end, its Switch there, a record, and a join."""
    group, keys = client.group, client.keys
    drawn = iter((STEP_KEYS[0], ENTROPY.kem_seed, STEP_NONCES[0]))
    attempt = StepAttempt(keys, group, 1, (0, 1), STEP_EPOCHS[0], lambda _: next(drawn))
    drawn_there = iter((STEP_KEYS[1], STEP_NONCES[1]))
    answerer = StepAnswerer(
        server.keys,
        group,
        StepMessage.parse(attempt.share, group),
        STEP_EPOCHS[1],
        lambda _: next(drawn_there),
        lambda _: (bytes.fromhex(encapsulated["secret"]), bytes.fromhex(encapsulated["ciphertext"])),
    )
    binding = answerer.receive_nonce(1, StepMessage.parse(attempt.nonce, group))
    attempt.receive_answer(0, StepMessage.parse(answerer.answer, group))
    attempt.receive_binding(1, StepMessage.parse(binding, group))
    concluded = attempt.conclude()
    assert concluded is not None
    there = answerer.receive_finished(1, StepMessage.parse(concluded.finished, group))
    bodies = (attempt.share, answerer.answer, attempt.nonce, binding, concluded.finished)
    sealers = {
        (sender, path): ControlSealer(keys, sender, path)
        for sender in ("client", "server")
        for path in (0, 1)
    }
    counters = dict.fromkeys(sealers, 0)
    for place in (("client", 1), ("server", 1)):  # behind the control messages above
        for control in CONTROLS:
            sealers[place].seal(control)
        counters[place] = len(CONTROLS)
    places = (("client", 0), ("server", 0), ("client", 1), ("server", 1), ("client", 1))
    messages = []
    for (sender, path), body in zip(places, bodies, strict=True):
        frame = sealers[sender, path].seal_items(body, STEP_TYPE)
        counter = counters[sender, path]
        counters[sender, path] += 1
        messages.append(
            {"sender": sender, "path": path, "counter": counter, "body": body.hex(), "frame": frame.hex()}
        )
    used = concluded.keys
    found: dict[str, Any] = {
        "step": used.step,
        "inputs": {
            "client_private_key": STEP_KEYS[0].hex(),
            "client_kem_seed": ENTROPY.kem_seed.hex(),
            "client_nonce": STEP_NONCES[0].hex(),
            "server_private_key": STEP_KEYS[1].hex(),
            "server_nonce": STEP_NONCES[1].hex(),
            "encapsulated": encapsulated if group is NamedGroup.X25519MLKEM768 else None,
            "epochs": list(STEP_EPOCHS),
        },
        "messages": messages,
        "th": used.th.hex(),
        "roots": {purpose: used.root(purpose).hex() for purpose in STEP_ROOTS},
        "join": _join(used, session_id),
    }
    changed = []
    for sender, schedule, epoch in (("client", used, STEP_EPOCHS[0]), ("server", there, STEP_EPOCHS[1])):
        dsn = (epoch << EPOCH_SHIFT) + 7
        items = ControlMessage(step=used.step, step_from=dsn).encode()
        switch = ControlSealer(schedule, sender, 0).seal_items(items, SWITCH_TYPE)
        chain = EpochChain(schedule, sender, epoch, epoch)
        records = [
            {"dsn": at, "data": data.hex(), "frame": seal(chain, at, data).frame.hex()}
            for at, data in ((dsn, b"step 1"), ((epoch + 1 << EPOCH_SHIFT) + 1, b"the next epoch"))
        ]
        changed.append({"sender": sender, "items": items.hex(), "switch": switch.hex(), "records": records})
    return {**found, "changed": changed}


def _tofu_inputs() -> dict[str, Any]:
    return {
        "fleet_private_key": FLEET_KEY.hex(),
        "edge_long_term_private_key": LONG_TERM_KEY.hex(),
        "not_before": NOT_BEFORE,
        "not_after": NOT_AFTER,
        "floor": FLOOR,
        "now": NOW,
        "fleet_fingerprint": fleet_key_fingerprint(long_term().certificate.fleet_key),
    }


def _name_inputs(new: NamePrivateKey, old: NamePrivateKey) -> dict[str, str]:
    return {
        "name_private_key": old.private_key.hex(),
        "name_key": old.signed.encode().hex(),
        "given_name_key": new.signed.encode().hex(),
        "hpke_ephemeral_private_key": EPHEMERAL.hex(),
    }


def files(*, record: bool = False) -> dict[Path, str]:
    made: dict[Path, dict[str, Any]] = {}
    encapsulated = encapsulate() if record else _recorded(_path("opportunistic-aes-128-gcm"))["encapsulated"]
    hybrid = NamedGroup.X25519MLKEM768
    for mode in (Mode.OPPORTUNISTIC, Mode.TOFU):
        for aead in Aead:
            made[_path(mode.name, aead.name)] = make(mode, aead, hybrid, encapsulated)
        made[_path(mode.name, Aead.AES_128_GCM.name, "x25519")] = make(
            mode, Aead.AES_128_GCM, NamedGroup.X25519, encapsulated
        )
    made[_path(Mode.TOFU.name, Aead.AES_128_GCM.name, "sealed-name")] = make(
        Mode.TOFU, Aead.AES_128_GCM, hybrid, encapsulated, sealed=True
    )
    for aead, retry in ((Aead.AES_128_GCM, False), (Aead.CHACHA20_POLY1305, False), (Aead.AES_128_GCM, True)):
        path = _path(Mode.MTLS.name, aead.name, *(["hello-retry"] if retry else []))
        recorded = tls_exchange.record(aead, ENTROPY.nonce, retry=retry) if record else _recorded(path)["tls"]
        made[path] = make_mtls(aead, recorded, encapsulated)
    return {path: json.dumps(vector, indent=1) + "\n" for path, vector in made.items()}


def _recorded(path: Path) -> dict[str, Any]:
    """The inputs of a file: those that no one can give are kept."""
    return dict(json.loads(path.read_text())["inputs"])


def _path(*parts: str) -> Path:
    return FOLDER / ("-".join(parts).lower().replace("_", "-") + ".json")


if __name__ == "__main__":
    for path, text in files(record="--record" in sys.argv).items():
        path.write_text(text)
