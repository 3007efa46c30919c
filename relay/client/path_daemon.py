"""`sennit path keep`: the stored paths set up, and mended when the host's network changes, until it is stopped."""

import asyncio
import logging
import signal

from relay.client.path_setup import apply_path, remove_path
from relay.client.path_store import PathRefused, PathStore
from runtime.logging import report_ready
from runtime.systemd import feed_watchdog, notify_systemd
from smkex.transport.routes.network_changes import NetworkChanges

log = logging.getLogger("relay.client")

INTERVAL = 10.0  # seconds between looks without a change: a name that was added, a wireguard-go that died


def apply_stored_paths(store: PathStore) -> dict[str, str]:
    """Set all stored paths up; return why some are not. Raises `PathRefused` where the store cannot be read."""
    failures = {}
    with store.locked():
        for name, path in store.read_paths().items():
            try:
                apply_path(path)
            except PathRefused as error:
                failures[name] = f"{error}; {error.hint}" if error.hint else str(error)
    return failures


async def keep_paths(store: PathStore) -> None:
    """Return after SIGTERM or SIGINT, with all paths taken down. Raises `PathRefused` at the start."""
    loop = asyncio.get_running_loop()
    stopped, changed = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        stopped.set()
        changed.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    watchdog = asyncio.create_task(feed_watchdog())
    changes = NetworkChanges(changed.set)
    failures = await asyncio.to_thread(apply_stored_paths, store)  # pyroute2 has an event loop of its own
    _log_failures({}, failures)
    report_ready()
    while not stopped.is_set():
        try:
            async with asyncio.timeout(INTERVAL):
                await changed.wait()
        except TimeoutError:
            pass
        changed.clear()
        if not stopped.is_set():
            before, failures = failures, await asyncio.to_thread(_try_stored_paths, store)
            _log_failures(before, failures)
    notify_systemd("STOPPING=1")
    changes.close()
    watchdog.cancel()
    await asyncio.to_thread(_remove_stored_paths, store)


def _remove_stored_paths(store: PathStore) -> None:
    with store.locked():
        for path in store.read_paths().values():
            remove_path(path)


def _try_stored_paths(store: PathStore) -> dict[str, str]:
    try:
        return apply_stored_paths(store)
    except PathRefused as error:
        return {"all": str(error)}


def _log_failures(before: dict[str, str], now: dict[str, str]) -> None:
    """Log what has changed: a network that is away for an hour is one line."""
    for name, why in now.items():
        if before.get(name) != why:
            log.warning("path %s is not up: %s", name, why)
    for name in before.keys() - now.keys():
        log.info("path %s is up again", name)
