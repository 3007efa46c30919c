"""A TLS handshake in memory whose client verifies strictly, as Python 3.13 does by itself."""

import ssl
from pathlib import Path


def handshake(authority: Path, certificate: Path, key: Path, host: str) -> None:
    """Complete a handshake of `host` as a client that trusts `authority`. Raises `ssl.SSLCertVerificationError`."""
    trusting = ssl.create_default_context(cafile=str(authority))
    trusting.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    showing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    showing.load_cert_chain(certificate, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=host)
    server = showing.wrap_bio(to_server, to_client, server_side=True)
    waiting = {client, server}
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
