"""What can go wrong with `sennit get`, as errors a person can act on, each with its exit status."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from runtime.errors import CommandError, ExitStatus
from smkex.client.download.download import HttpRefused
from smkex.client.download.partial_file import CannotWrite
from smkex.client.explain import explain, smkex_cause
from smkex.client.known_hosts import KnownHostsDamaged
from smkex.core.errors import (
    DeadlineMissed,
    OnePathOnly,
    Overloaded,
    PeerAborted,
    SmkexError,
    Truncated,
)


class Unreached(CommandError):
    """The edge could not be reached; nothing of the file has come, and nothing speaks of an attack."""


class BrokenOff(CommandError):
    """The transfer began, and did not come to its end; nothing speaks of an attack."""


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn what `connect`, httpx and the file system raise into `CommandError`."""
    try:
        yield
    except HttpRefused as error:
        hint = f"it points to {error.location}, which is not followed" if error.location else ""
        raise CommandError(f"{url}: {error}", hint=hint, status=ExitStatus.HTTP) from None
    except KnownHostsDamaged as error:
        raise CommandError(str(error), hint="mend the line, or remove it") from None
    except SmkexError as error:
        away = isinstance(error, DeadlineMissed | OnePathOnly | Overloaded | PeerAborted)
        found = explain(error)
        raise (Unreached if away else CommandError)(
            str(found), hint=found.hint, status=ExitStatus.REFUSED
        ) from None
    except httpx.TransportError as error:
        raise _broken(url, error) from None
    except CannotWrite as error:
        raise CommandError(f"{url}: {error}") from None
    except BrokenPipeError:
        raise  # nobody reads what we write: the end, as of any filter
    except OSError as error:
        raise Unreached(
            f"{url}: {error.strerror or error}",
            hint="is the address right, and is there a route by the first path?",
            status=ExitStatus.UNREACHABLE,
        ) from None


def _broken(url: str, error: httpx.TransportError) -> CommandError:
    cause = smkex_cause(error)
    if cause is not None and not isinstance(cause, Truncated | PeerAborted | DeadlineMissed):
        found = explain(cause)
        return CommandError(str(found), hint=found.hint, status=ExitStatus.REFUSED)
    return BrokenOff(f"{url}: {cause or error}", status=ExitStatus.BROKEN_OFF)
