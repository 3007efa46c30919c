"""The fleet's Fast Open keys: what a file may hold, and that the kernel receives them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.ingress.fast_open import TCP_FASTOPEN_KEY, encode_keys, follow_key_file
from node.state.catalogue import FAST_OPEN_KEYS


def test_one_key_or_two_are_read() -> None:
    assert encode_keys("00" * 16) == bytes(16)
    assert encode_keys("ff" * 16 + "\n" + "00" * 16 + "\n") == b"\xff" * 16 + bytes(16)


@pytest.mark.parametrize(
    "content", ["", "00" * 15, "00" * 17, "xy" * 16, "00" * 16 + "\n" + "00" * 8, "00 " * 3]
)
def test_anything_else_is_refused(content: str) -> None:
    with pytest.raises(ValueError):
        encode_keys(content)


@contextlib.asynccontextmanager
async def following(sock: socket.socket, path: Path) -> AsyncIterator[None]:
    """The keys are followed meanwhile, to the end: nothing that happens may end it."""
    task = asyncio.create_task(follow_key_file(sock, path, path.read_text))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_listening_socket_takes_the_keys_of_the_file_as_it_comes_and_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = FAST_OPEN_KEYS.path_in(tmp_path)
    path.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with following(listening, path):
            for content in ("11" * 16, "22" * 16 + "\n" + "11" * 16):
                path.with_suffix(".new").write_text(content)
                path.with_suffix(".new").replace(path)
                async with asyncio.timeout(30):
                    while kernel_keys(listening) != encode_keys(path.read_text()):
                        await asyncio.sleep(0.02)
            path.write_text("no key")
            async with asyncio.timeout(30):
                while "no Fast Open with the keys in" not in caplog.text:
                    await asyncio.sleep(0.02)
        assert kernel_keys(listening) == bytes.fromhex("22" * 16 + "11" * 16)


async def test_a_socket_that_takes_no_keys_is_reported_with_the_kernel_it_needs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a listener of MPTCP before Linux 6.2: here a socket of UDP answers alike."""
    path = FAST_OPEN_KEYS.path_in(tmp_path)
    path.parent.mkdir()
    path.write_text("11" * 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        async with following(other, path), asyncio.timeout(30):
            while "from Linux 6.2 on" not in caplog.text:
                await asyncio.sleep(0.02)


def kernel_keys(listening: socket.socket) -> bytes:
    return listening.getsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, 32)
