"""The process at the other end of a socket, which alone is moved."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from capture.service.peer import JoinRefused, PeerProcess, peer_process, peer_user

CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"


def test_it_is_the_process_that_connected_while_it_lives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        with subprocess.Popen([sys.executable, "-c", CONNECT, str(tmp_path / "socket")]) as process:
            user, _ = listener.accept()
            with user, peer_process(user) as peer:
                assert peer_user(user) == (peer.process, peer.uid) == (process.pid, os.geteuid())
                peer.check()
                user.shutdown(socket.SHUT_RDWR)
                process.wait(10)
                assert not peer.is_alive()
                with pytest.raises(JoinRefused):
                    peer.check()


def test_a_process_of_another_user_is_refused() -> None:
    descriptor = os.pidfd_open(os.getpid())
    try:
        with pytest.raises(JoinRefused, match="no longer the one that asked"):
            PeerProcess(os.getpid(), os.geteuid() + 1, descriptor).check()
    finally:
        os.close(descriptor)
