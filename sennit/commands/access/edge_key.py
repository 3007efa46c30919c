"""Create an edge's key of mode tofu; its public half is certified with the fleet key."""

import argparse
from pathlib import Path

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from sennit.secret_file import write_secret
    from smkex.core.keys.keyfile import private_pem, public_pem

    options = build_parser().parse_args(arguments)
    key = X25519PrivateKey.generate()
    write_secret(options.output, private_pem(key))
    public = options.output.with_name(f"{options.output.name}.pub")
    try:
        public.write_bytes(public_pem(key.public_key()))
    except OSError as error:
        raise CommandError(str(error)) from None
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit edge-key", description=__doc__)
    create = parser.add_subparsers(required=True, metavar="ACTION").add_parser(
        "create", help="create FILE, and FILE.pub for `sennit fleet-key certify`"
    )
    create.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    return parser
