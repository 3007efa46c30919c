"""Which secrets a document names: their values stand apart, in the control plane and in what edges get."""

from collections.abc import Iterator

from services.document import HttpService, ServiceDocument


def find_secret_names(document: ServiceDocument) -> Iterator[tuple[str, str]]:
    """Yield each field that names a secret, by its path, and the secret's name."""
    if signed := document.access.signed_urls:
        for number, name in enumerate(signed.keys):
            yield f"access.signed_urls.keys.{number}", name
    if isinstance(document, HttpService):
        for number, origin in enumerate(document.origins):
            if origin.tls.client_key is not None:
                yield f"origins.{number}.tls.client_key", origin.tls.client_key
