"""The fleet's key of mode tofu, which stays offline: create it, certify edges with it, show it.

Clients remember this key. Each edge makes a key of its own (`sennit edge-key create`); only its public half comes here.
"""

import argparse
import time
from pathlib import Path

from runtime.errors import CommandError, ExitStatus

DAY = 86_400
DAYS_LIMIT = 90
CLOCKS_DIFFER = 3600  # seconds by which a client's clock may be behind


def run(arguments: list[str]) -> int:
    from smkex.core.keys.keyfile import KeyFileDamaged

    options = build_parser().parse_args(arguments)
    try:
        options.do(options)
    except KeyFileDamaged as error:
        raise CommandError(str(error)) from None
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit fleet-key", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="a new fleet key: keep it offline")
    create.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    create.set_defaults(do=_create_key)
    certify = actions.add_parser("certify", help="certify an edge's public key for its id and some days")
    certify.add_argument("--key", type=Path, required=True, metavar="FILE", help="the fleet key")
    certify.add_argument("--edge-id", type=int, required=True, metavar="ID")
    certify.add_argument("--public", type=Path, required=True, metavar="FILE", help="the edge's public key")
    certify.add_argument("--days", type=int, default=30, metavar="N", help=f"1 to {DAYS_LIMIT} (30)")
    certify.add_argument(
        "--revoke-before",
        type=int,
        default=0,
        metavar="UNIX-TIME",
        help="revoke certificates from before this time, at every client that sees this one",
    )
    certify.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    certify.set_defaults(do=_certify_edge)
    name_key = actions.add_parser(
        "name-key", help="make a key under which clients seal server names, signed by the fleet key"
    )
    name_key.add_argument("--key", type=Path, required=True, metavar="FILE", help="the fleet key")
    name_key.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="for every edge (--name-keys); a rotation joins two such files",
    )
    name_key.set_defaults(do=_make_name_key)
    show = actions.add_parser("show", help="the fingerprint, of a fleet key or of an edge's certificate")
    show.add_argument("file", type=Path)
    show.set_defaults(do=_show_fingerprint)
    return parser


def _create_key(options: argparse.Namespace) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sennit.secret_file import write_secret
    from smkex.core.keys.certificate import fleet_key_fingerprint
    from smkex.core.keys.keyfile import private_pem

    key = Ed25519PrivateKey.generate()
    write_secret(options.output, private_pem(key))
    print(fleet_key_fingerprint(key.public_key().public_bytes_raw()))


def _certify_edge(options: argparse.Namespace) -> None:
    from sennit.secret_file import read_file
    from smkex.core.keys.certificate import EdgeCertificate
    from smkex.core.keys.keyfile import certificate_pem, read_edge_public_key, read_fleet_key

    if not 1 <= options.days <= DAYS_LIMIT:
        raise CommandError(f"--days: 1 to {DAYS_LIMIT}", status=ExitStatus.USAGE)
    if not 1 <= options.edge_id <= 65535:
        raise CommandError("--edge-id: 1 to 65535", status=ExitStatus.USAGE)
    fleet = read_fleet_key(read_file(options.key))
    share = read_edge_public_key(read_file(options.public)).public_bytes_raw()
    now = int(time.time())
    begins, ends = now - CLOCKS_DIFFER, now + options.days * DAY
    if not 0 <= options.revoke_before <= begins:
        raise CommandError(
            f"--revoke-before: 0 to {begins}, an hour ago, when this certificate begins",
            status=ExitStatus.USAGE,
        )
    made = EdgeCertificate.issue(fleet, options.edge_id, share, begins, ends, options.revoke_before)
    try:
        options.output.write_text(certificate_pem(made))
    except OSError as error:
        raise CommandError(str(error)) from None


def _make_name_key(options: argparse.Namespace) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from sennit.secret_file import read_file, write_secret
    from smkex.client.known_hosts import name_key_text
    from smkex.core.keys.keyfile import name_keys_text, read_fleet_key
    from smkex.core.keys.name_key import NameKey, NamePrivateKey

    fleet = read_fleet_key(read_file(options.key))
    private = X25519PrivateKey.generate()
    signed = NameKey.issue(fleet, private.public_key().public_bytes_raw(), int(time.time()))
    made = NamePrivateKey(private.private_bytes_raw(), signed)
    write_secret(options.output, name_keys_text([made]).encode())
    print(name_key_text(signed))


def _show_fingerprint(options: argparse.Namespace) -> None:
    from sennit.secret_file import read_file
    from smkex.core.keys.certificate import fleet_key_fingerprint
    from smkex.core.keys.keyfile import KeyFileDamaged, read_certificate, read_fleet_key

    data = read_file(options.file)
    try:
        certificate = read_certificate(data.decode("ascii", "replace"))
    except KeyFileDamaged:
        key = read_fleet_key(data)
        print(fleet_key_fingerprint(key.public_key().public_bytes_raw()))
        return
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(certificate.not_after))
    print(
        f"{fleet_key_fingerprint(certificate.fleet_key)} certifies edge {certificate.edge_id} until {until}"
    )
