"""Service records: read as RFC 9460 says, written as zone files have them, refused whole where one is malformed."""

from dataclasses import replace
from ipaddress import ip_address

import dns.name
import dns.rdata
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from name_keys import FLEET, OLD

from smkex.core.keys.name_key import NameKey
from smkex.core.wire.messages import LocatorKind
from smkex.transport.resolution.service_record import (
    InvalidRecords,
    SvcbRecord,
    alias_target,
    read_service_records,
    service_owner,
)

OWNER = dns.name.from_text("_smkex.cdn.example")
OTHER = "SHA256:" + "A" * 43
FULL = SvcbRecord(1, "cdn.example", 8443, LocatorKind.ADDRESS, 20_000, frozenset({FLEET, OTHER}), OLD.signed)


def read(*texts: str) -> tuple[SvcbRecord, ...]:
    records = [dns.rdata.from_text("IN", "SVCB", text) for text in texts]
    # as they come from the network
    wires = [record.to_digestable() for record in records]
    return read_service_records(
        OWNER, [dns.rdata.from_wire("IN", "SVCB", wire, 0, len(wire)) for wire in wires]
    )


@pytest.mark.parametrize(
    "record",
    [
        FULL,
        SvcbRecord(1, "cdn.example"),
        SvcbRecord(7, "edges.example", locator=LocatorKind.PORT),
        SvcbRecord(1, "cdn.example", fleet_keys=frozenset({FLEET})),
        replace(FULL, port=None, id_port_base=None),
    ],
)
def test_a_record_is_read_as_it_was_written(record: SvcbRecord) -> None:
    assert read(record.to_text()) == (record,)


def test_records_live_below_the_name_and_the_port() -> None:
    assert service_owner("cdn.example") == "_smkex.cdn.example"
    assert service_owner("cdn.example", 8443) == "_8443._smkex.cdn.example"


def test_the_best_record_comes_first_and_a_dot_is_the_owner() -> None:
    first, second = read("2 b.example.", "1 .")
    assert (first.priority, first.target, second.target) == (1, "_smkex.cdn.example", "b.example")


def test_keys_that_are_not_used_change_nothing() -> None:
    plain = read("1 cdn.example. alpn=h2 ipv4hint=198.51.100.66 ipv6hint=2001:db8:bad:: key65400=x")
    assert plain == (SvcbRecord(1, "cdn.example"),)
    assert ip_address("198.51.100.66") not in vars(type(plain[0]))


def test_a_record_with_a_mandatory_key_that_is_not_understood_is_passed_over() -> None:
    found = read(
        "1 a.example. mandatory=alpn alpn=h2", "2 b.example. mandatory=port,key65280 port=8443 key65280=\\002"
    )
    assert [(record.target, record.port) for record in found] == [("b.example", 8443)]
    assert read("1 a.example. mandatory=key65400 key65400=x") == ()


@pytest.mark.parametrize(
    "params",
    [
        "port=0",
        "key65280",
        "key65280=\\003",
        "key65280=\\000\\001",
        "key65281=\\000\\000",
        "key65281=\\001",
        "key65282=tooshort",
        'key65282=""',
        "key65282=" + "x" * 32 * 5,
        "key65283=x",
        f'key65283="{"".join(f"{chr(92)}{byte:03d}" for byte in OLD.signed.encode())}"',  # without its fleet key
        FULL.to_text().partition(" key65282")[2].replace("\\", "x", 1),
    ],
)
def test_one_malformed_record_is_a_reason_to_pass_over_all(params: str) -> None:
    with pytest.raises((InvalidRecords, dns.exception.DNSException)):
        read("1 cdn.example.", f"2 cdn.example. {params}")


def test_a_forged_name_key_is_malformed() -> None:
    forger = Ed25519PrivateKey.generate()
    forged = NameKey(OLD.signed.serial, OLD.signed.public, OLD.signed.fleet_key, forger.sign(b"something"))
    with pytest.raises(InvalidRecords, match="signature"):
        read(replace(FULL, name_key=forged).to_text())


@pytest.mark.parametrize("target", ["192.0.2.1.", "a\\032b.example.", "-a-.example."])
def test_a_target_is_a_host_name(target: str) -> None:
    with pytest.raises(InvalidRecords):
        read(f"1 {target}")


def test_the_records_of_a_name_are_bounded() -> None:
    with pytest.raises(InvalidRecords, match="more than 16"):
        read(*(f"{n} cdn.example." for n in range(1, 18)))


def test_an_alias_leads_elsewhere_whatever_else_there_is() -> None:
    records = [dns.rdata.from_text("IN", "SVCB", text) for text in ("1 a.example.", "0 b.example.")]
    assert alias_target(records) == dns.name.from_text("b.example")
    assert alias_target(records[:1]) is None
    assert alias_target([dns.rdata.from_text("IN", "SVCB", "0 .")]) == dns.name.root
