"""The fleet keys that a user remembers, by host: a text file with one line for each.

    HOST SHA256:FINGERPRINT [ADDRESS,ADDRESS...] [floor=UNIX-TIME] [name-key=BASE64]

A host may have several lines (a fleet that changes its key). Addresses pin the host: no other is dialled. The floor is
the newest that the fleet has signed: certificates from before it are revoked. The name key is the newest too: the
host's name travels sealed under it. The file is replaced whole or not at all;
an invalid line is an error, since skipping it could forget a key.
"""

import base64
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from smkex.core.errors import CertificateRefused, MalformedMessage
from smkex.core.keys.certificate import fleet_key_fingerprint
from smkex.core.keys.name_key import NameKey
from smkex.transport.routes.host_name import HostName

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_FLOOR = re.compile(r"floor=(\d{1,19})")
_NAME_KEY = "name-key="
_HEAD = "# fleet keys that `sennit get` remembers; see `sennit known-hosts`\n"


class KnownHostsDamaged(Exception):
    """A line of the file is invalid; the message names it."""


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A key that is accepted of a host; `addresses` pin it where there are any; `floor` is unix time.

    `name_key` is signed by the key.
    """

    host: str
    fingerprint: str
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    floor: int = 0
    name_key: NameKey | None = None

    def __post_init__(self) -> None:
        """Store the canonical host. Raises ValueError for a value that the file cannot hold."""
        object.__setattr__(self, "host", HostName.parse(self.host).text)
        if not _FINGERPRINT.fullmatch(self.fingerprint):
            raise ValueError("not a fingerprint: SHA256: and 43 characters of base64")
        signer = fleet_key_fingerprint(self.name_key.fleet_key) if self.name_key else self.fingerprint
        if signer != self.fingerprint:
            raise ValueError(f"the name key is signed by {signer}")

    @classmethod
    def parse(cls, line: str) -> "KnownHost":
        """Parse a line of the file. Raises ValueError."""
        fields = line.split()
        last = fields[-1] if fields else ""
        name_key = read_name_key(fields.pop().removeprefix(_NAME_KEY)) if last.startswith(_NAME_KEY) else None
        stated = _FLOOR.fullmatch(fields[-1]) if fields else None
        if stated:
            fields.pop()
        if not 2 <= len(fields) <= 3:
            raise ValueError("not HOST FINGERPRINT [ADDRESS,...] [floor=UNIX-TIME] [name-key=BASE64]")
        addresses = tuple(map(ip_address, fields[2].split(","))) if len(fields) == 3 else ()
        return cls(fields[0], fields[1], addresses, int(stated[1]) if stated else 0, name_key)

    def __str__(self) -> str:
        floor = f"floor={self.floor}" if self.floor else ""
        name_key = f"{_NAME_KEY}{name_key_text(self.name_key)}" if self.name_key else ""
        words = [self.host, self.fingerprint, ",".join(map(str, self.addresses)), floor, name_key]
        return " ".join(word for word in words if word)


def name_key_text(key: NameKey) -> str:
    return base64.b64encode(key.encode()).decode()


def read_name_key(text: str) -> NameKey:
    """Read what `name_key_text` gives, and verify its signature. Raises ValueError."""
    try:
        key = NameKey.parse(base64.b64decode(text, validate=True))
        key.verify()
    except (ValueError, MalformedMessage, CertificateRefused) as error:
        raise ValueError(f"not a name key: {error}") from None
    return key


def newest_name_key(entries: Sequence[KnownHost]) -> NameKey | None:
    keys = (entry.name_key for entry in entries if entry.name_key is not None)
    return max(keys, key=lambda key: key.serial, default=None)


class KnownHosts:
    """The file. Nothing is kept in memory: what another process has accepted or removed counts at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open_default(cls) -> "KnownHosts":
        """SENNIT_KNOWN_HOSTS, or known_hosts in the user's configuration folder."""
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return cls(Path(os.environ.get("SENNIT_KNOWN_HOSTS") or home / "sennit" / "known_hosts"))

    def entries(self, host: str | None = None) -> list[KnownHost]:
        """Return every entry, or those of a host. Raises `KnownHostsDamaged`, `InvalidHostName`."""
        wanted = HostName.parse(host).text if host is not None else None
        try:
            lines = self.path.read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise KnownHostsDamaged(f"{self.path} cannot be read: {error}") from None
        found = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                found.append(KnownHost.parse(line))
            except ValueError as error:
                raise KnownHostsDamaged(f"{self.path}, line {number}: {error}") from None
        return [entry for entry in found if wanted in (None, entry.host)]

    def names(self) -> list[str]:
        """Return the hosts in order. Raises `KnownHostsDamaged`."""
        return sorted({entry.host for entry in self.entries()})

    def remember(self, entry: KnownHost) -> None:
        """Add an entry, in place of one with the same host and key, whose floor and name key stay if they are newer."""
        with self._changing() as entries:
            same = [one for one in entries if (one.host, one.fingerprint) == (entry.host, entry.fingerprint)]
            floor = max([entry.floor, *(one.floor for one in same)])
            name_key = newest_name_key([entry, *same])
            kept = replace(entry, floor=floor, name_key=name_key)
            entries[:] = [one for one in entries if one not in same] + [kept]

    def forget(self, host: str, fingerprint: str | None = None) -> int:
        """Remove a host's entries, or the one with a fingerprint; how many there were."""
        name = HostName.parse(host).text
        with self._changing() as entries:
            before = len(entries)
            entries[:] = [
                one for one in entries if one.host != name or fingerprint not in (None, one.fingerprint)
            ]
            return before - len(entries)

    @contextmanager
    def _changing(self) -> Iterator[list[KnownHost]]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.path.with_name(f".{self.path.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self.entries()
            yield entries
            self._write(entries)

    def _write(self, entries: list[KnownHost]) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(_HEAD + "".join(f"{entry}\n" for entry in entries))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            os.unlink(temporary)
            raise
