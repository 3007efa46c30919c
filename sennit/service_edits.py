"""Where `sennit services` takes a document from: a file, standard input, or an editor until it has no faults."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import CommandError, ExitStatus
from sennit.text_editor import edit_text
from sennit.yaml_documents import format_document, parse_document_text

if TYPE_CHECKING:
    from balancer.api.services import RevisionView
    from balancer.api.services_client import ServicesClient

FIRST: Mapping[str, Any] = {
    "hostnames": ["www.example.org"],
    "origins": [{"name": "main", "url": "https://origin.example"}],
}
REMARK = "#! "


def read_document_file(path: Path) -> dict[str, Any]:
    """Read a document; `-` is standard input. Raises `CommandError`."""
    try:
        return parse_document_text(sys.stdin.read() if str(path) == "-" else path.read_text())
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"{path}: {text}", status=ExitStatus.USAGE) from None


async def add_edited_revision(client: "ServicesClient", options: argparse.Namespace) -> "RevisionView":
    """Add what the file says, or what the editor leaves, as a draft."""
    if options.file is not None:
        return await client.add_revision(options.name, read_document_file(options.file))
    service = await client.service(options.name)
    document = dict(FIRST)
    if service.newest is not None:
        document = (await client.revision(options.name, service.newest)).document
    return await _edit_until_valid(client, options.name, format_document(document))


async def _edit_until_valid(client: "ServicesClient", name: str, before: str) -> "RevisionView":
    from balancer.api.client import ApiError

    remarks, text = [f"service {name}: lines that begin with {REMARK.strip()} are dropped"], before
    while True:
        head = "".join(f"{REMARK}{line}\n" for line in remarks)
        edited = await asyncio.to_thread(edit_text, head + text, ".yml")
        lines = edited.splitlines(keepends=True)
        kept = "".join(line for line in lines if not line.startswith(REMARK.strip()))
        if kept == before or (len(remarks) > 1 and kept == text):
            raise CommandError("nothing changed, so nothing is stored")
        text = kept
        try:
            return await client.add_revision(name, parse_document_text(text))
        except ValueError as error:
            remarks = [f"{name}: not stored", str(error)]
        except ApiError as error:
            if error.slug != "invalid-document":
                raise
            faults = [f"{each.field}: {each.message}" for each in error.errors]
            remarks = [
                f"{name}: not stored, {len(faults)} to correct (save without a change to give up)",
                *faults,
            ]


def read_value_file(path: Path) -> str:
    """Read a secret's value; `-` is standard input. Raises `CommandError`."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}", status=ExitStatus.USAGE) from None
