"""The edge and the servers beside it, as processes on loopback: nginx and uvicorn, both over TLS 1.3."""

import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement.processors import SERVER_PROCESSOR, pin_process, processor_seconds
from node.state.identity import NodeIdentity, write_identity
from node.vip import Vip
from tests.support.certificates import identity

SENNIT = Path(sys.executable).with_name("sennit")

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
  log_format long escape=json '{log_format}';
  access_log {log}; keepalive_requests 100000000; keepalive_timeout 600; sendfile on; tcp_nopush on;
  open_file_cache max=1000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; ssl_session_tickets off; ssl_session_cache off;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    root {folder}/www;
  }}
}}
"""
# what nginx knows of the fields that the edge logs, and the rest as constants
NGINX_LOG_FORMAT = (
    '{"time":"$time_iso8601.$msec","service":"default","revision":0,"request_id":"$request_id",'
    '"trace_id":"$request_id","client":"$remote_addr","mode":"opportunistic","transport":"tcp","owner":1,'
    '"paths":[{"path":0,"client":"$remote_addr","ingress":1},{"path":1,"client":"$remote_addr","ingress":1}],'
    '"method":"$request_method","url":"$scheme://$host$request_uri","user_agent":"$http_user_agent",'
    '"referer":"$http_referer","status":$status,"bytes_in":0,"bytes_out":$body_bytes_sent,"hit":true,'
    '"cache_status":"hit; ttl=86400","origin":null,"origin_status":null,"origin_seconds":null,'
    '"first_byte_seconds":0.0,"duration_seconds":$request_time,"complete":true,"via":null}'
)
UVICORN = """
import uvicorn, sys
from pathlib import Path
BODY = bytes(1024)
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1024")]})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), ssl_certfile=sys.argv[2], ssl_keyfile=sys.argv[3],
            access_log=False, log_level="warning", lifespan="off", loop="asyncio", http="httptools")
"""


@dataclass
class Peer:
    """A server under test; its CPU seconds are those of the process and its children."""

    name: str
    port: int
    processes: list[int]

    @property
    def protocol(self) -> str:
        """What its clients speak: `session` or `tls`."""
        return "session" if self.name == "edge" else "tls"

    def cpu(self) -> float:
        return sum(map(processor_seconds, self.processes))

    def resident(self) -> int:
        return sum(_resident_memory(pid) for pid in self.processes)


def _resident_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed ECDSA P-256 certificate for localhost."""
    made, secret = identity(folder, "cert", "localhost")
    return made, secret.rename(folder / "key.pem")


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are free, below those that connections going out are given."""
    while True:
        first = 10_000 + secrets.randbelow(22_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def _wait_for_port(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


@contextmanager
def _running_peer(name: str, port: int, command: list[str], log: Path, **options: object) -> Iterator[Peer]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)  # type: ignore[call-overload]
    try:
        _wait_for_port(port)
        children = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
        ).stdout.split()
        peer = Peer(name, port, [process.pid, *map(int, children)])
        for pid in peer.processes:
            pin_process(pid, SERVER_PROCESSOR)
        yield peer
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_nginx(folder: Path, log: Path | None = None) -> Iterator[Peer]:
    """Debian's nginx with one worker, static files of `folder`/www from its cache of open files.

    With `log` it writes lines as long as the edge's, in batches as large, as often.
    """
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    folder.chmod(0o755)
    port = free_ports(1)
    (folder / "nginx.conf").write_text(
        NGINX.format(
            folder=folder,
            port=port,
            log=f"{log} long buffer=1m flush=200ms" if log else "off",
            log_format=NGINX_LOG_FORMAT,
        )
    )
    command = [program, "-e", str(folder / "nginx.log"), "-c", str(folder / "nginx.conf")]
    with _running_peer("nginx", port, command, folder / "nginx.out") as peer:
        yield peer


@contextmanager
def running_uvicorn(folder: Path) -> Iterator[Peer]:
    """A bare ASGI application under uvicorn."""
    port = free_ports(1)
    command = [sys.executable, "-c", UVICORN, str(port), str(folder / "cert.pem"), str(folder / "key.pem")]
    with _running_peer("uvicorn", port, command, folder / "uvicorn.out") as peer:
        yield peer


@contextmanager
def running_tls_origin(folder: Path) -> Iterator[Peer]:
    """`sennit origin` over TLS: what the tests of the load generator have in place of nginx."""
    port = free_ports(1)
    files = "--tls-certificate", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")
    command = [
        str(SENNIT),
        "origin",
        "--directory",
        str(folder / "www"),
        "--listen",
        f"127.0.0.1:{port}",
        *files,
    ]
    with _running_peer("origin", port, command, folder / "tls-origin.out") as peer:
        yield peer


@contextmanager
def running_caching_edge(folder: Path, *options: str) -> Iterator[Peer]:
    """`sennit edge` with its cache in front of `origin`, which gives /small and /large."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    port, upstream = free_ports(2), free_ports(1)
    vip = Vip("main", "127.0.0.1", None, port, id_port_base=port)
    write_identity(state, NodeIdentity(1, "edge1", vip))
    served = [str(SENNIT), "origin", "--directory", str(folder / "www"), "--listen", f"127.0.0.1:{upstream}"]
    command = [str(SENNIT), "edge", "--state", str(state), "--cache", str(folder / "cache")]
    command += ["--upstream", f"http://127.0.0.1:{upstream}", "--object-bytes", str(4 << 30), *options]
    with (
        _running_peer("origin", upstream, [*served, "--max-age", "86400"], folder / "origin.out"),
        _running_peer("edge", port, command, folder / "edge.out") as peer,
    ):
        _wait_for(folder / "edge.out", "ready: edge")
        yield peer


def _wait_for(log: Path, text: str) -> None:
    for _ in range(1000):
        if text in log.read_text():
            return
        time.sleep(0.02)
    raise RuntimeError(log.read_text())
