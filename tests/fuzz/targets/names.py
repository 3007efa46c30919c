"""Answers of resolvers with their aliases and service records, and how resolvers are written."""

import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
from harness import covered, fuzz

with covered():
    from smkex.transport.resolution.queries import InvalidAnswer, parse_answer, select_records
    from smkex.transport.resolution.resolver_address import InvalidResolver, ResolverAddress
    from smkex.transport.resolution.service_record import InvalidRecords, alias_target, read_service_records

NAME = dns.name.from_text("_smkex.cdn.example")


def answer(data: bytes) -> None:
    query = dns.message.make_query(NAME, dns.rdatatype.SVCB, id=int.from_bytes(data[:2], "big"))
    message = parse_answer(query, data)
    assert message.id == query.id
    found_at, records = select_records(message, NAME, dns.rdatatype.SVCB)
    if alias_target(records) is not None:
        return
    found = read_service_records(found_at, records)
    assert len(found) <= 16
    for record in found:
        text = dns.rdata.from_text("IN", "SVCB", record.to_text())
        assert read_service_records(found_at, [text]) == (record,)


def resolver(data: bytes) -> None:
    read = ResolverAddress.parse(data.decode("utf-8", "replace"))
    assert ResolverAddress.parse(str(read)) == read


def one(data: bytes) -> None:
    for reads in (answer, resolver):
        try:
            reads(data)
        except (InvalidAnswer, InvalidRecords, InvalidResolver):
            continue


if __name__ == "__main__":
    fuzz(one)
