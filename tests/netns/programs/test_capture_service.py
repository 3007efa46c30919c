"""`sennit capture`: whom it captures and whom not, and that its end, of whatever kind, leads nothing astray."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bpf_objects import map_names, program_names
from capture_service import PLAIN_USER, STRANGER, CaptureService, own_group

from capture.cgroup import ControlGroup, open_hierarchy
from capture.load.programs import ATTACH_TYPES
from capture.service.groups import all_groups
from lab.namespace.place import LabFolder
from lab.topology import SERVICE_NAME, VIP
from lab.wait import wait_for
from runtime.bpf.control_groups import programs_at_group

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

URL = f"http://{SERVICE_NAME}/sample.bin"
# which local address a connection to the CDN has: loopback where it is captured
OWN_ADDRESS = """
import socket, sys
sock = socket.socket()
if len(sys.argv) > 1:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(sys.argv[1]))
try:
    sock.connect(("203.0.113.1", 443))
except OSError as error:
    print(type(error).__name__)
else:
    print(sock.getsockname()[0])
"""


def own_address(service: CaptureService, group: ControlGroup | None = None, *words: str) -> str:
    program = ("python", "-c", OWN_ADDRESS, *words)
    return service.run_program(*program, uid=0, group=group).stdout.strip()


def attached_programs() -> set[int]:
    """Ids of every program that is attached to any control group, of the kinds that a capture has."""
    root = open_hierarchy()
    try:
        return {
            one
            for _, group in all_groups(root)
            for kind in ATTACH_TYPES.values()
            for one in programs_at_group(group, kind)
        }
    finally:
        os.close(root)


def groups_of_services() -> set[str]:
    root = open_hierarchy()
    try:
        return {path for path, _ in all_groups(root) if "/sennit-capture" in path}
    finally:
        os.close(root)


def routing(service: CaptureService) -> str:
    """Rules and routes of the phone."""
    commands = [
        ("ip", *family, *what)
        for family in ((), ("-6",))
        for what in (("rule",), ("route", "show", "table", "all"))
    ]
    return "".join(service.run_program(*command, uid=0).stdout for command in commands)


def test_a_user_without_root_gets_sessions_and_sees_no_other_users(service: CaptureService) -> None:
    service.start()
    script = f"curl -sS --limit-rate 1k -o /dev/null {URL} & until sennit sessions | grep -q path; do sleep 0.1; done;"
    with service.start_program(
        "sennit",
        "run",
        "--host",
        SERVICE_NAME,
        "--",
        "sh",
        "-c",
        f"{script} sennit sessions --json; read line; kill $!",
    ) as running:
        assert running.stdout is not None
        (listed,) = json.loads(running.stdout.readline())
        assert (listed["program"], listed["host"], listed["uid"]) == ("capture", SERVICE_NAME, PLAIN_USER)
        assert [path["interface"] for path in listed["paths"]] == ["cell0", "wifi0"]
        assert json.loads(service.run_program("sennit", "sessions", "--json", uid=STRANGER).stdout) == []
        running.communicate(b"\n", timeout=60)
    assert running.returncode == 0


def test_a_program_is_answered_as_by_run(service: CaptureService) -> None:
    service.start()
    assert service.run_captured("sh", "-c", "exit 7").returncode == 7
    assert service.run_captured("sh", "-c", "kill -9 $$").returncode == 137
    assert service.run_captured("no-such-program").returncode == 127
    assert service.run_captured("/etc/passwd").returncode == 126
    done = service.run_captured("curl", "-sSv", "-o", "/dev/null", URL)
    assert done.returncode == 0, done.stderr
    assert f"Connected to {SERVICE_NAME} ({VIP}) port 80" in done.stderr
    refused = service.run_captured("true", hosts=("other.example",))
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        1,
        "error: the capture service does not capture other.example",
    )


def test_a_captured_group_is_captured_and_what_is_excluded_is_not(service: CaptureService) -> None:
    with own_group("captured") as captured, own_group("other") as other:
        inner = ControlGroup.make_below(os.dup(captured.descriptor), "excluded")
        service.options = (
            "--cgroup",
            captured.name,
            "--exclude",
            f"{captured.name}/excluded",
            "--exclude-mark",
            "77",
        )
        try:
            # in the captured group itself, as with the whole host: its own sessions are not captured
            service.start(group=captured)
            assert own_address(service, captured) == "127.0.0.1"
            assert own_address(service, other) == "10.1.0.2"
            assert own_address(service, inner) == "10.1.0.2"
            assert own_address(service, captured, "77") == "10.1.0.2"
            assert own_address(service, captured, "78") == "127.0.0.1"
            done = service.run_program("curl", "-sS", "--fail", "-o", "/dev/null", URL, uid=0, group=captured)
            assert done.returncode == 0, done.stderr
            refused = service.run_captured("true", group=inner)
            assert "excluded from capture" in refused.stderr
            service.stop()
            assert own_address(service, captured) == "10.1.0.2"
        finally:
            inner.remove()


def test_a_program_of_another_network_namespace_reaches_no_captured_address(
    service: CaptureService, place: LabFolder
) -> None:
    with own_group("captured") as captured:
        service.options = ("--cgroup", captured.name)
        service.start()
        done = service.run_program("python", "-c", OWN_ADDRESS, uid=0, group=captured, node="transit")
        assert done.stdout == "PermissionError\n"
        refused = service.run_program("sennit", "run", "--through-service", "--", "true", node="transit")
        assert "another network namespace" in refused.stderr


def kill_keeper(service: CaptureService) -> None:
    service.kill()


def kill_child(service: CaptureService) -> None:
    assert service.process is not None
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert service.process.wait(10) == 1
    assert "captured addresses are refused until the service runs again" in service.log.read_text()


@pytest.mark.parametrize("crash", [kill_keeper, kill_child])
def test_a_crash_fails_closed_and_the_next_start_takes_over(
    service: CaptureService, crash: Callable[[CaptureService], None]
) -> None:
    before = (attached_programs(), groups_of_services(), routing(service))
    objects = (set(program_names()), set(map_names()))
    loop = f"while read line; do curl -sS -o /dev/null http://{VIP}/sample.bin; echo $?; done"
    with own_group("captured") as captured:
        service.options = ("--cgroup", captured.name)
        service.start()
        with service.start_program("sennit", "run", "--", "sh", "-c", loop) as user:

            def download() -> bytes:
                assert user.stdin is not None
                assert user.stdout is not None
                user.stdin.write(b"go\n")
                user.stdin.flush()
                return user.stdout.readline()

            assert download() == b"0\n"
            crash(service)
            wait_for(
                "no process to serve", lambda: own_address(service, captured) == "ConnectionRefusedError", 20
            )
            assert download() == b"7\n"  # curl: could not connect
            service.start()
            assert own_address(service, captured) == "127.0.0.1"
            assert download() == b"0\n"
            ours = {number for number, name in program_names().items() if name.startswith("capture_connect")}
            assert ours & (attached_programs() - before[0])
            service.stop()
            # without the service its hosts would be out of reach: programs that users put in are ended
            assert user.wait(20) == 128 + signal.SIGTERM
        assert own_address(service, captured) == "10.1.0.2"
    assert (attached_programs() <= before[0], groups_of_services() <= before[1], routing(service)) == (
        True,
        True,
        before[2],
    )
    assert not (service.pins / "capture").exists()
    assert not service.socket_path.exists()

    def is_freed() -> bool:
        made = {name for number, name in program_names().items() if number not in objects[0]}
        maps = {name for number, name in map_names().items() if number not in objects[1]}
        return not made & {name[:15] for name in ATTACH_TYPES} and not maps & {
            "handed_over",
            "captured",
            "dialled",
        }

    wait_for("the kernel to free programs and maps", is_freed, 30)


def test_hosts_are_read_anew(service: CaptureService, open_folder: Path) -> None:
    hosts = open_folder / "hosts"
    hosts.write_text("# none yet\n")
    service.hosts, service.options = (), ("--hosts-file", str(hosts))
    with own_group("captured") as captured:
        service.options = (*service.options, "--cgroup", captured.name)
        service.start()
        assert own_address(service, captured) == "10.1.0.2"
        hosts.write_text(f"{SERVICE_NAME}  # the lab's\n")
        service.reload()
        wait_for("the new host", lambda: own_address(service, captured) == "127.0.0.1", 20)
        hosts.write_text("not a host!\n")
        service.reload()
        wait_for(
            "the refusal", lambda: "reload failed, keeping the hosts in force" in service.log.read_text(), 20
        )
        assert own_address(service, captured) == "127.0.0.1"
        hosts.write_text("")
        service.reload()
        wait_for("no host", lambda: own_address(service, captured) == "10.1.0.2", 20)


def test_limits_of_one_user_are_not_those_of_another(service: CaptureService) -> None:
    service.options = ("--max-programs-per-user", "1", "--max-connections-per-user", "1")
    service.start()
    with service.start_program("sennit", "run", "--", "sh", "-c", "echo started; read line") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"started\n"
        second = service.run_captured("true")
        assert "has 1 captured programs already" in second.stderr
        assert service.run_captured("true", uid=STRANGER).returncode == 0
        first.communicate(b"\n", timeout=60)
    hold = (
        "import socket, sys\n"
        f"held = socket.create_connection(('{VIP}', 80), 10); held.sendall(b'x')\n"
        f"more = socket.create_connection(('{VIP}', 80), 10); more.settimeout(20)\n"
        "try:\n    print(more.recv(1))\nexcept OSError as error:\n    print(type(error).__name__)\n"
    )
    done = service.run_captured("python", "-c", hold)
    assert done.stdout == "ConnectionResetError\n", done.stderr
    assert "too many connections" in done.stderr


def test_the_service_has_a_user_of_its_own_and_the_capabilities_of_its_unit(service: CaptureService) -> None:
    unit = Path(__file__).parents[3] / "packaging" / "systemd" / "sennit-capture.service"
    given = re.search("^AmbientCapabilities=(.*)$", unit.read_text(), re.MULTILINE)
    assert given
    names = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in given[1].split())
    as_user = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    service.prefix = (*as_user, f"--inh-caps={names}", f"--ambient-caps={names}")
    os.chown(service.folder, STRANGER, STRANGER)
    with own_group("captured") as captured:
        service.options = ("--cgroup", captured.name, "--known-hosts", str(service.folder / "known_hosts"))
        service.start()
        assert own_address(service, captured) == "127.0.0.1"
        with service.start_program(
            "sennit", "run", "--", "sh", "-c", f"curl -sS -o /dev/null {URL}; echo $?; cat"
        ) as user:
            assert user.stdout is not None
            assert user.stdout.readline() == b"0\n"
            service.stop()
            assert user.wait(20) == 128 + signal.SIGTERM
        assert own_address(service, captured) == "10.1.0.2"
    assert not (service.pins / "capture").exists()


def test_a_group_that_is_made_anew_is_captured_again_and_one_that_others_remove_is_no_error(
    service: CaptureService,
) -> None:
    with own_group("parent") as parent:
        inner = ControlGroup.make_below(os.dup(parent.descriptor), "inner")
        service.options = ("--cgroup", f"{parent.name}/inner")
        service.start()
        assert own_address(service, inner) == "127.0.0.1"
        again = ControlGroup.make_below(os.dup(parent.descriptor), "again")
        with service.start_program("sennit", "run", "--", "true", group=again) as user:
            user.wait(20)
        for name in os.listdir(again.descriptor):  # as systemd does at the end of a session
            if name.startswith("sennit-captured-user-"):
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(name, dir_fd=again.descriptor)
        assert not again.is_populated()
        again.remove()
        inner.remove()
        inner = ControlGroup.make_below(os.dup(parent.descriptor), "inner")
        wait_for("the new group", lambda: own_address(service, inner) == "127.0.0.1", 20)
        assert "was made anew: captured again" in service.log.read_text()
        inner.remove()
        service.stop()


def test_one_service_has_a_socket(service: CaptureService) -> None:
    service.start()
    command = ("sennit", "capture", "--host", SERVICE_NAME, "--socket", str(service.socket_path))
    second = service.run_program(*command, "--pins", str(service.pins / "second"), uid=0)
    assert "another capture service" in second.stderr
    assert service.run_captured("true").returncode == 0
