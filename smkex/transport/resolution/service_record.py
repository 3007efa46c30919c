"""Service records of a name (SVCB, RFC 9460): where its sessions go, and which keys a first contact expects.

    _smkex.cdn.example.  SVCB 1 cdn.example. port=443 key65280="\\002" key65282=... key65283=...

The keys 65280 to 65283 are of the range for private use (docs/protocol/discovery.md).
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field

import dns.name
import dns.rdata
import dns.rdtypes.svcbbase as svcb
from dns.rdtypes.IN.SVCB import SVCB

from smkex.core.errors import CertificateRefused, MalformedMessage
from smkex.core.keys.certificate import fleet_key_fingerprint
from smkex.core.keys.name_key import NameKey
from smkex.core.wire.codec import u16
from smkex.core.wire.locator import SERVICE_PORT
from smkex.core.wire.messages import LocatorKind
from smkex.transport.routes.host_name import HostName, InvalidHostName

SERVICE_LABEL = "_smkex"
LOCATOR, ID_PORT_BASE, FLEET_KEYS, NAME_KEY = range(65280, 65284)
FLEET_KEYS_LIMIT = 4
RECORDS_LIMIT = 16  # of one name
DIGEST_LENGTH = 32
# what this client understands, and may therefore be mandatory
UNDERSTOOD = frozenset(
    {
        *(svcb.ParamKey.PORT, svcb.ParamKey.IPV4HINT, svcb.ParamKey.IPV6HINT),
        *(LOCATOR, ID_PORT_BASE, FLEET_KEYS, NAME_KEY),
    }
)


class InvalidRecords(ValueError):
    """A record is malformed: all records of the name are passed over (RFC 9460 section 2.2)."""


@dataclass(frozen=True, slots=True)
class SvcbRecord:
    """What one record states; None and empty where it says nothing. `fleet_keys` are fingerprints.

    `target` is the canonical host whose addresses count.
    """

    priority: int
    target: str
    port: int | None = None
    locator: LocatorKind | None = None
    id_port_base: int | None = None
    fleet_keys: frozenset[str] = field(default_factory=frozenset)
    name_key: NameKey | None = None

    def __post_init__(self) -> None:
        """Raise `InvalidRecords` for values that contradict each other."""
        key = self.name_key
        if key is not None and fleet_key_fingerprint(key.fleet_key) not in self.fleet_keys:
            raise InvalidRecords("the name key is not of the fleet keys that the record states")

    @property
    def sort_key(self) -> tuple[int, str]:
        return self.priority, repr(self)

    def to_text(self) -> str:
        """Return the record's data as zone files have it (RFC 9460 section 2.1)."""
        values = {
            LOCATOR: bytes([self.locator]) if self.locator is not None else b"",
            ID_PORT_BASE: u16(self.id_port_base) if self.id_port_base is not None else b"",
            FLEET_KEYS: b"".join(sorted(map(_fingerprint_digest, self.fleet_keys))),
            NAME_KEY: self.name_key.encode() if self.name_key is not None else b"",
        }
        port = [f"port={self.port}"] if self.port is not None else []
        private = [f'key{key}="{_escape_value(value)}"' for key, value in values.items() if value]
        return " ".join([str(self.priority), f"{self.target}.", *port, *private])

    def to_generic_text(self) -> str:
        """Return type and data for servers that do not know SVCB (RFC 3597)."""
        wire = dns.rdata.from_text("IN", "SVCB", self.to_text()).to_digestable()
        return f"TYPE64 \\# {len(wire)} {wire.hex()}"


def service_owner(host: str, port: int = SERVICE_PORT) -> str:
    """Return the name at which records of a host and port are (RFC 9460 section 2.3)."""
    return f"{SERVICE_LABEL}.{host}" if port == SERVICE_PORT else f"_{port}.{SERVICE_LABEL}.{host}"


def read_service_records(owner: dns.name.Name, records: Iterable[SVCB]) -> tuple[SvcbRecord, ...]:
    """Return the records in service mode that this client understands, best first.

    `owner` is the name at the end of CNAMEs. Raises `InvalidRecords`.
    """
    found = []
    for count, record in enumerate(records):
        if count >= RECORDS_LIMIT:
            raise InvalidRecords(f"more than {RECORDS_LIMIT} service records")
        made = _read_record(owner, record)
        if made is not None:
            found.append(made)
    return tuple(sorted(found, key=lambda one: one.sort_key))


def alias_target(records: Iterable[SVCB]) -> dns.name.Name | None:
    """Return where an alias (priority 0) leads, the root where it says that there is no service; None without one."""
    aliases = sorted(record.target for record in records if record.priority == 0)
    return aliases[0] if aliases else None


def _read_record(owner: dns.name.Name, record: SVCB) -> SvcbRecord | None:
    """Return None for a record with a mandatory key that this client does not understand."""
    params = dict(record.params)
    mandatory = params.get(svcb.ParamKey.MANDATORY)
    if isinstance(mandatory, svcb.MandatoryParam) and not UNDERSTOOD.issuperset(mandatory.keys):
        return None
    port = params.get(svcb.ParamKey.PORT)
    locator, base = _private_value(params, LOCATOR), _private_value(params, ID_PORT_BASE)
    digests, name_key = _private_value(params, FLEET_KEYS), _private_value(params, NAME_KEY)
    target = owner if record.target == dns.name.root else record.target
    return SvcbRecord(
        record.priority,
        canonical_host(target),
        _check_port(port.port) if isinstance(port, svcb.PortParam) else None,
        _read_locator(locator) if locator is not None else None,
        _read_port_base(base) if base is not None else None,
        _read_fleet_keys(digests) if digests is not None else frozenset(),
        _read_name_key(name_key) if name_key is not None else None,
    )


def check_fingerprint(text: str) -> str:
    """Return a fingerprint as it is. Raises ValueError."""
    try:
        digest = _fingerprint_digest(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_LENGTH or _digest_fingerprint(digest) != text:
        raise ValueError(f"{text}: not a fingerprint: SHA256: and 43 characters of base64")
    return text


def canonical_host(name: dns.name.Name) -> str:
    """Raises `InvalidRecords`."""
    try:
        host = HostName.parse(name.to_text(omit_final_dot=True))
    except InvalidHostName as error:
        raise InvalidRecords(str(error)) from None
    if host.address is not None:
        raise InvalidRecords(f"{host} is an address, not a name")
    return host.text


def _private_value(params: dict[int, svcb.Param | None], key: int) -> bytes | None:
    """Return the bytes of a private key that is present, empty ones where it has no value."""
    if key not in params:
        return None
    param = params[key]
    return param.value if isinstance(param, svcb.GenericParam) else b""


def _check_port(port: int) -> int:
    if port == 0:
        raise InvalidRecords("port 0")
    return port


def _read_locator(value: bytes) -> LocatorKind:
    try:
        return LocatorKind(int.from_bytes(value, "big") if len(value) == 1 else 0)
    except ValueError:
        raise InvalidRecords(f"key{LOCATOR} is one byte, 1 for a port or 2 for an address") from None


def _read_port_base(value: bytes) -> int:
    if len(value) != 2 or not any(value):
        raise InvalidRecords(f"key{ID_PORT_BASE} is a port, two bytes")
    return int.from_bytes(value, "big")


def _read_fleet_keys(value: bytes) -> frozenset[str]:
    count, rest = divmod(len(value), DIGEST_LENGTH)
    if rest or not 1 <= count <= FLEET_KEYS_LIMIT:
        raise InvalidRecords(f"key{FLEET_KEYS} has 1 to {FLEET_KEYS_LIMIT} digests of 32 bytes")
    digests = (value[at : at + DIGEST_LENGTH] for at in range(0, len(value), DIGEST_LENGTH))
    return frozenset(map(_digest_fingerprint, digests))


def _read_name_key(value: bytes) -> NameKey:
    try:
        key = NameKey.parse(value)
        key.verify()
    except (MalformedMessage, CertificateRefused) as error:
        raise InvalidRecords(f"key{NAME_KEY}: {error}") from None
    return key


def _escape_value(value: bytes) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03d}" for byte in value)


def _digest_fingerprint(digest: bytes) -> str:
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _fingerprint_digest(fingerprint: str) -> bytes:
    return base64.b64decode(fingerprint.removeprefix("SHA256:") + "=")
