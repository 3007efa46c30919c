"""Print the service record (SVCB) of a name, for its zone: port, locators, fleet keys, name key.

Nothing in it is secret. Clients that find it seal the name and expect the fleet key from the first contact on.
"""

import argparse
from typing import TYPE_CHECKING

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from smkex.transport.resolution.service_record import SvcbRecord

TTL_LIMIT = (1 << 31) - 1  # RFC 2181 section 8


def run(arguments: list[str]) -> int:
    from smkex.transport.resolution.service_record import service_owner
    from smkex.transport.routes.host_name import HostName

    options = build_parser().parse_args(arguments)
    try:
        host = HostName.parse(options.name)
        if host.address is not None:
            raise ValueError(f"{host} is an address: records are of names")
        record = _make_record(host.text, options)
    except ValueError as error:
        raise CommandError(str(error), status=ExitStatus.USAGE) from None
    owner = service_owner(host.text, options.service_port)
    data = record.to_generic_text() if options.generic else f"SVCB {record.to_text()}"
    print(f"{owner}. {options.ttl} IN {data}")
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit name-record", description=__doc__)
    parser.add_argument("name", help="the name that clients ask for")
    parser.add_argument(
        "--fleet-key",
        action="append",
        default=[],
        metavar="FINGERPRINT",
        help="a fleet key that a first contact may be shown, as `sennit fleet-key show` prints it; repeat it while"
        " the fleet changes its key",
    )
    parser.add_argument(
        "--name-key",
        metavar="BASE64",
        help="what `sennit fleet-key name-key` printed; its fleet key is stated, too",
    )
    parser.add_argument("--target", metavar="HOST", help="where the addresses are, if not at the name")
    parser.add_argument("--port", type=int, metavar="PORT", help="the service port, if not the one asked for")
    parser.add_argument(
        "--locator",
        choices=("port", "address"),
        help="where addresses carry edge ids; leave it out for a VIP whose locators are mixed",
    )
    parser.add_argument("--id-port-base", type=int, metavar="PORT", help="first port of locators in ports")
    parser.add_argument("--priority", type=int, default=1, help="the lowest number is preferred (1)")
    parser.add_argument(
        "--ttl", type=int, default=3600, metavar="SECONDS", help="how long resolvers keep it (3600)"
    )
    parser.add_argument(
        "--service-port", type=int, default=443, metavar="PORT", help="the port that clients ask for (443)"
    )
    parser.add_argument(
        "--generic", action="store_true", help="as TYPE64 (RFC 3597), for servers that do not know SVCB"
    )
    return parser


def _make_record(host: str, options: argparse.Namespace) -> "SvcbRecord":
    """Raises ValueError."""
    from smkex.client.known_hosts import read_name_key
    from smkex.core.keys.certificate import fleet_key_fingerprint
    from smkex.core.wire.messages import LocatorKind
    from smkex.transport.resolution.service_record import FLEET_KEYS_LIMIT, SvcbRecord, check_fingerprint
    from smkex.transport.routes.host_name import HostName

    _check_range("--priority", options.priority, 1, 65535)
    _check_range("--ttl", options.ttl, 0, TTL_LIMIT)
    for name in ("port", "id_port_base", "service_port"):
        if getattr(options, name) is not None:
            _check_range(f"--{name.replace('_', '-')}", getattr(options, name), 1, 65535)
    name_key = read_name_key(options.name_key) if options.name_key else None
    fleet_keys = {check_fingerprint(one) for one in options.fleet_key}
    if name_key is not None:
        fleet_keys.add(fleet_key_fingerprint(name_key.fleet_key))
    if len(fleet_keys) > FLEET_KEYS_LIMIT:
        raise ValueError(f"--fleet-key: {FLEET_KEYS_LIMIT} at most")
    target = HostName.parse(options.target) if options.target else HostName.parse(host)
    if target.address is not None:
        raise ValueError("--target: a name, not an address")
    return SvcbRecord(
        options.priority,
        target.text,
        options.port,
        LocatorKind[options.locator.upper()] if options.locator else None,
        options.id_port_base,
        frozenset(fleet_keys),
        name_key,
    )


def _check_range(option: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{option}: {lowest} to {highest}")
