"""What `sennit name-record` prints is what clients read; and it refuses what they would not."""

import dns.name
import dns.rdata
import pytest
from name_keys import FLEET, OLD

from runtime.errors import CommandError, ExitStatus
from sennit.commands.access import name_record
from smkex.client.known_hosts import name_key_text
from smkex.core.wire.messages import LocatorKind
from smkex.transport.resolution.service_record import SvcbRecord, read_service_records

OTHER = "SHA256:" + "A" * 43
KEY = name_key_text(OLD.signed)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str, SvcbRecord]:
    """Owner, TTL and the record."""
    assert name_record.run(list(arguments)) == ExitStatus.OK
    owner, ttl, _, kind, data = capsys.readouterr().out.split(maxsplit=4)
    read = dns.rdata.from_text("IN", "SVCB" if kind == "TYPE64" else kind, data)
    (record,) = read_service_records(dns.name.from_text(owner), [read])
    return owner, ttl, record


@pytest.mark.parametrize("form", [(), ("--generic",)])
def test_the_whole_record(capsys: pytest.CaptureFixture[str], form: tuple[str, ...]) -> None:
    places = (
        "--port",
        "8443",
        "--locator",
        "address",
        "--id-port-base",
        "20000",
        "--target",
        "Edges.example",
    )
    owner, ttl, record = printed(
        capsys, "CDN.example", "--name-key", KEY, "--fleet-key", OTHER, "--ttl", "60", *places, *form
    )
    assert (owner, ttl) == ("_smkex.cdn.example.", "60")
    keys = frozenset({FLEET, OTHER})
    assert record == SvcbRecord(1, "edges.example", 8443, LocatorKind.ADDRESS, 20_000, keys, OLD.signed), (
        "the name key's fleet key is stated with it"
    )


def test_the_least_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "cdn.example")[2] == SvcbRecord(1, "cdn.example")


def test_another_port_has_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    owner, _, record = printed(capsys, "cdn.example", "--service-port", "8443", "--priority", "2")
    assert (owner, record.priority) == ("_8443._smkex.cdn.example.", 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("203.0.113.1",), "is an address"),
        (("cdn.example", "--target", "203.0.113.1"), "a name, not an address"),
        (("-a-.example",), "not a host name"),
        (("cdn.example", "--port", "0"), "--port: 1 to 65535"),
        (("cdn.example", "--priority", "0"), "--priority"),
        (("cdn.example", "--ttl", "-1"), "--ttl"),
        (("cdn.example", "--fleet-key", "SHA256:short"), "not a fingerprint"),
        (("cdn.example", "--fleet-key", "A" * 43), "not a fingerprint"),
        (("cdn.example", "--name-key", KEY[:-8] + "AAAAAAA="), "not a name key"),
        (("cdn.example", *(f"--fleet-key=SHA256:{one * 42}A" for one in "ABCDE")), "4 at most"),
    ],
)
def test_what_clients_would_refuse_is_refused(arguments: tuple[str, ...], says: str) -> None:
    if arguments[0].startswith("-"):
        arguments = ("--", *arguments)
    with pytest.raises(CommandError, match=says) as refused:
        name_record.run(list(arguments))
    assert refused.value.status == ExitStatus.USAGE
