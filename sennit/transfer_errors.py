"""Errors of `sennit get` with their hints and exit statuses."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from runtime.errors import CommandError, ExitStatus
from smkex.client.download.download import HttpRefused
from smkex.client.download.partial_file import CannotWrite
from smkex.client.explain import explain_error, smkex_cause
from smkex.client.known_hosts import KnownHostsDamaged
from smkex.core.errors import (
    DeadlineMissed,
    OnePathOnly,
    Overloaded,
    PeerAborted,
    SmkexError,
    Truncated,
)


class EdgeUnreachable(CommandError):
    """The edge could not be reached: no data received, no sign of an attack."""


class TransferInterrupted(CommandError):
    """The transfer ended before it was complete, with no sign of an attack."""


@contextmanager
def as_command_errors(url: str) -> Iterator[None]:
    """Turn what `connect`, httpx and the file system raise into `CommandError`."""
    try:
        yield
    except HttpRefused as error:
        hint = ""
        if error.location:
            hint = f"it points to {error.location}, which is not followed: -L follows inside the host alone"
        raise CommandError(f"{url}: {error}", hint=hint, status=ExitStatus.HTTP) from None
    except KnownHostsDamaged as error:
        raise CommandError(str(error), hint="correct the line, or remove it") from None
    except SmkexError as error:
        away = isinstance(error, DeadlineMissed | OnePathOnly | Overloaded | PeerAborted)
        found = explain_error(error)
        raise (EdgeUnreachable if away else CommandError)(
            str(found), hint=found.hint, status=ExitStatus.REFUSED
        ) from None
    except httpx.TransportError as error:
        raise _classify_transport_error(url, error) from None
    except CannotWrite as error:
        raise CommandError(f"{url}: {error}") from None
    except BrokenPipeError:
        raise  # the reader of standard output has gone
    except OSError as error:
        raise EdgeUnreachable(
            f"{url}: {error.strerror or error}",
            hint="is the address right, and is there a route by the first path?",
            status=ExitStatus.UNREACHABLE,
        ) from None


def _classify_transport_error(url: str, error: httpx.TransportError) -> CommandError:
    cause = smkex_cause(error)
    if cause is not None and not isinstance(cause, Truncated | PeerAborted | DeadlineMissed):
        found = explain_error(cause)
        return CommandError(str(found), hint=found.hint, status=ExitStatus.REFUSED)
    return TransferInterrupted(f"{url}: {cause or error}", status=ExitStatus.BROKEN_OFF)
