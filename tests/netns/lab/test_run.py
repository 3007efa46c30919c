"""Unmodified programs under `sennit run` in the lab: over two paths, or not at all; nothing is left behind."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attacked_program import ProgramUnderAttack

from lab.attack.cells import Row, attacks_on
from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.topology import LAB, SERVICE_NAME, VIP
from lab.wait import wait_for

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

URL = f"http://{SERVICE_NAME}/sample.bin"


class Phone:
    """Runs programs on the phone of the lab, under `sennit run`."""

    def __init__(self, place: LabFolder, folder: Path) -> None:
        self.lab, self._folder = NamespaceLab(place, LAB), folder
        self.groups: list[str] = []
        self.wanted = (place.node("origin") / "sample.bin").read_bytes()

    def start(self, *program: str, hosts: tuple[str, ...] = (SERVICE_NAME,)) -> "subprocess.Popen[bytes]":
        given = [word for host in hosts for word in ("--host", host)]
        command = self.lab.command(
            *("phone", "sennit", "run", "--verbose", "--json", *given, "--timeout", "5", "--", *program)
        )
        environment = {
            **os.environ,
            "SENNIT_SESSIONS": str(self._folder / "sessions"),
            "SENNIT_KNOWN_HOSTS": str(self._folder / "known_hosts"),
        }
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=self._folder
        )
        self.groups.append(f"sennit-run-{process.pid}")
        return process

    def run(
        self, *program: str, hosts: tuple[str, ...] = (SERVICE_NAME,)
    ) -> tuple[int, bytes, list[dict[str, Any]], str]:
        """Return exit status, output, events, and what the program said on standard error."""
        out, err = (process := self.start(*program, hosts=hosts)).communicate(timeout=90)
        lines = err.decode().splitlines()
        events = [json.loads(line) for line in lines if line.startswith('{"event"')]
        return (
            process.returncode,
            out,
            events,
            "\n".join(line for line in lines if not line.startswith('{"event"')),
        )


@pytest.fixture
def phone(place: LabFolder, tmp_path: Path) -> Iterator[Phone]:
    (tmp_path / "sessions").mkdir(mode=0o700)
    running = Phone(place, tmp_path)
    yield running
    left = control_groups()
    assert not [name for name in running.groups if any(group.endswith(f"/{name}") for group in left)]


def control_groups() -> set[str]:
    """The groups of `sennit run` that exist where version 2 is mounted."""
    mounts = [
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in line
    ]
    return {str(path) for mount in mounts for path in Path(mount).rglob("sennit-run-*")}


def test_curl_gets_a_file_over_two_paths_and_is_shown_the_address_that_it_dialled(phone: Phone) -> None:
    status, out, events, said = phone.run("curl", "-sSv", URL)
    assert status == 0, said
    assert hashlib.sha256(out).digest() == hashlib.sha256(phone.wanted).digest()
    assert f"Connected to {SERVICE_NAME} ({VIP}) port 80" in said
    report = next(event["report"] for event in events if event["event"] == "SessionOpened")
    assert [path["interface"] for path in report["paths"]] == ["cell0", "wifi0"]


STATIC = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **arguments) {
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    char mapped[64], data[65536];
    snprintf(mapped, sizeof mapped, "::ffff:%s", arguments[1]);
    inet_pton(AF_INET6, mapped, &at.sin6_addr);
    int sock = socket(AF_INET6, SOCK_STREAM, 0);
    if (connect(sock, (struct sockaddr *)&at, sizeof at))
        return 1;
    dprintf(sock, "GET /sample.bin HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n", arguments[2]);
    for (ssize_t got; (got = read(sock, data, sizeof data)) > 0;)
        if (write(1, data, got) != got)
            return 2;
    return count != 3;
}
"""


def test_a_static_binary_is_captured_by_address_also_from_an_ipv6_socket(
    phone: Phone, tmp_path: Path
) -> None:
    source, binary = tmp_path / "static.c", tmp_path / "static"
    source.write_text(STATIC)
    subprocess.run(["gcc", "-static", "-o", str(binary), str(source)], check=True)
    status, out, events, said = phone.run(str(binary), VIP, SERVICE_NAME, hosts=(VIP,))
    assert status == 0, said
    assert out.endswith(phone.wanted[-1000:])
    assert out.partition(b"\r\n\r\n")[2] == phone.wanted
    assert any(event["event"] == "SessionOpened" for event in events)


REFUSALS = """
import socket, sys
def attempt(name, call):
    try:
        call()
    except OSError as error:
        print(name, type(error).__name__)
    else:
        print(name, "went")
vip = sys.argv[1]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt("sendto", lambda: datagrams.sendto(b"x", (vip, 443)))
attempt("connected", lambda: datagrams.connect((vip, 443)))
attempt("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
bound = socket.socket()
bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"cell0")
attempt("bound", lambda: bound.connect((vip, 443)))
attempt("elsewhere", lambda: datagrams.sendto(b"x", ("127.0.0.1", 9)))
"""


def test_what_cannot_go_by_a_session_is_refused(phone: Phone) -> None:
    status, out, _, said = phone.run("python", "-c", REFUSALS, VIP, hosts=(VIP,))
    assert status == 0, said
    assert out.decode().split("\n")[:-1] == [
        "sendto PermissionError",
        "connected PermissionError",
        "mptcp PermissionError",
        "bound PermissionError",
        "elsewhere went",
    ]


def test_a_host_that_cannot_be_resolved_on_both_paths_is_not_answered(phone: Phone) -> None:
    status, out, events, _ = phone.run("curl", "-sS", "http://nothing.lab/", hosts=("nothing.lab",))
    assert (status, out) == (6, b"")  # curl: could not resolve host
    assert events[0]["event"] == "Failed"
    assert events[0]["host"] == "nothing.lab"


def test_the_programs_exit_status_and_signals_are_its_own(phone: Phone) -> None:
    assert phone.run("sh", "-c", "exit 7")[0] == 7
    assert phone.run("sh", "-c", "kill -9 $$")[0] == 137
    status, _, _, said = phone.run("no-such-program")
    assert (status, said) == (127, "error: no such program: 'no-such-program'")
    status, _, _, said = phone.run("/etc/passwd")
    assert (status, said) == (126, "error: cannot execute /etc/passwd: Permission denied")
    waiting = phone.start("sh", "-c", "echo started; exec sleep 60")
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"started\n"
    waiting.terminate()
    assert waiting.wait(20) == 143
    waiting.communicate()


def test_the_program_has_the_callers_descriptors_and_none_of_ours(phone: Phone) -> None:
    script = "exec 7</dev/null; exec sennit run --host cdn.lab -- ls -l /proc/self/fd"
    done = subprocess.run(
        phone.lab.command("phone", "bash", "-c", script), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    numbers = {words[-3]: words[-1] for line in done.stdout.splitlines() if len(words := line.split()) > 3}
    assert numbers.pop("7") == "/dev/null"
    assert set(numbers) == {"0", "1", "2", "3"}  # the last is ls's own
    assert numbers["3"].startswith("/proc/")


def test_background_processes_are_served_until_the_last_has_ended(phone: Phone) -> None:
    status, out, _, said = phone.run("sh", "-c", f"(sleep 1; curl -sS {URL}) & exit 3")
    assert status == 3, said
    assert out == phone.wanted


def test_sessions_that_run_are_listed(phone: Phone) -> None:
    script = f"curl -sS --limit-rate 1k -o /dev/null {URL} & until sennit sessions | grep -q path; do sleep 0.1; done;"
    status, out, _, said = phone.run("sh", "-c", f"{script} sennit sessions --json; kill $!")
    assert status == 0, said
    (listed,) = json.loads(out)
    assert listed["host"] == SERVICE_NAME
    assert [path["interface"] for path in listed["paths"]] == ["cell0", "wifi0"]


def test_a_killed_run_fails_closed_and_its_guard_removes_what_is_left(phone: Phone) -> None:
    script = f"echo started; read line; curl -sS -o /dev/null http://{VIP}/sample.bin; echo $?"
    running = phone.lab.command("phone", "sennit", "run", "--host", VIP, "--", "sh", "-c", script)
    with subprocess.Popen(
        running, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"started\n"
        process.kill()
        process.wait(10)
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"7\n"  # curl: could not connect
    group = f"sennit-run-{process.pid}"
    wait_for("the guard to remove the group", lambda: not any(group in name for name in control_groups()), 20)


class CurlUnderAttack(ProgramUnderAttack):
    def program(self, host: str) -> tuple[str, ...]:
        return ("curl", "-sS", "--fail", f"http://{host}/sample.bin")

    def received(self, done: "subprocess.CompletedProcess[bytes]") -> bytes:
        return done.stdout


@pytest.mark.parametrize("name", ["own shares to both ends", "other nonces", "a byte flipped in the file"])
def test_an_attacker_on_either_path_gets_a_failure_or_nothing(
    place: LabFolder, name: str, tmp_path: Path
) -> None:
    attack = next(attack for attack in attacks_on(Row.OPPORTUNISTIC) if attack.name == name)
    attacked = CurlUnderAttack(NamespaceLab(place, LAB), tmp_path / "known_hosts")
    result = attacked.attack(Row.OPPORTUNISTIC, attack)
    assert result.ok, result
