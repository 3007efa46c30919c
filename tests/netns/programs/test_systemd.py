"""`sennit-capture.service` under systemd as PID 1: a booted container with the units of a release.

The far end is `sennit tunnel listen` at a second loopback address, before an ordinary web server.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from systemd_container import SENNIT, UNITS, SystemdContainer, booted, release_files

from lab.wait import wait_for

pytestmark = pytest.mark.needs("root", "netns", "bcc", "container")

OWN_UNITS = (
    *("sennit-capture.service", "sennit-capture.service.d", "sennit-.service.d"),
    *("sennit-captured.slice", "run-sennit-bpf.mount"),
)
FAR, PORT = "127.0.0.2", 4443
PAGE = Path("/usr/share/common-licenses/GPL-3")
FETCH = ("curl", "--silent", "--show-error", "--fail", f"http://{FAR}/{PAGE.name}")
OPTIONS = f"--path lo --allow-shared-path --service-port {PORT} --id-port-base {PORT} --timeout 10"
CAPTURED = ("--slice=sennit-captured.slice",)
REFUSED = 7  # curl: could not connect
EXPOSURE = 40  # tenths, of systemd-analyze: a service without any hardening has 96


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdContainer]:
    folder = tmp_path_factory.mktemp("systemd")
    files = {f"/etc/systemd/system/{name}": UNITS / name for name in OWN_UNITS} | release_files(folder)
    with booted(folder, "sennit-capture-test", files) as made:
        made.run("systemd-sysusers")
        made.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sennit.conf")
        made.run("sh", "-c", f"echo {FAR} >/etc/sennit/captured-hosts")
        made.run("sh", "-c", f"echo 'OPTIONS={OPTIONS}' >/etc/sennit/capture.env")
        far = ("--address", FAR, "--service-port", str(PORT), "--id-port-base", str(PORT))
        start = ("systemd-run", "--quiet")
        made.run(*start, "--unit=far", SENNIT, "tunnel", "listen", *far, "--target", "127.0.0.1:8080")
        web = ("python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(PAGE.parent), "8080")
        made.run(*start, "--unit=web", *web)
        for port in (PORT, PORT + 1, 8080):
            wait_for(f"port {port}", lambda: bool(made.run("ss", "-Hltn", f"sport = :{port}").stdout), 60)  # noqa: B023
        made.systemctl("start", "sennit-capture")
        yield made


def show(machine: SystemdContainer, *names: str) -> dict[str, str]:
    said = machine.systemctl("show", "sennit-capture", *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in said.splitlines())


def fetch_captured(machine: SystemdContainer) -> str:
    done = machine.in_unit(*FETCH, options=CAPTURED)
    assert done.returncode == 0, f"{done.stderr}{machine.journal()}"
    return done.stdout


def test_it_is_ready_as_a_user_of_its_own_and_binds_what_it_needs(machine: SystemdContainer) -> None:
    assert machine.run("cat", "/proc/1/comm").stdout == "systemd\n"
    wanted = {"ActiveState": "active", "User": "sennit-capture", "NRestarts": "0", "NotifyAccess": "main"}
    assert show(machine, *wanted) == wanted
    for unit in ("run-sennit-bpf.mount", "sennit-captured.slice"):
        assert machine.systemctl("is-active", unit) == "active"


def test_a_unit_of_the_slice_goes_by_sessions_and_another_unit_does_not(machine: SystemdContainer) -> None:
    assert fetch_captured(machine) == PAGE.read_text()
    assert machine.in_unit(*FETCH).returncode == REFUSED  # no server is at the address that it dials


def test_a_user_without_root_is_captured_by_the_socket(machine: SystemdContainer) -> None:
    done = machine.in_unit(SENNIT, "run", "--", *FETCH, options=("--uid=65534", "--gid=65534"))
    assert (done.returncode, done.stdout) == (0, PAGE.read_text()), done.stderr
    other = machine.in_unit(SENNIT, "run", "--host", "other.example", "--", "true", options=("--uid=65534",))
    assert other.returncode != 0
    assert "the capture service does not capture other.example" in other.stderr


def test_hosts_are_read_anew_by_a_reload(machine: SystemdContainer) -> None:
    def run_with(host: str) -> int:
        done = machine.in_unit(SENNIT, "run", "--host", host, "--", "true", options=("--uid=65534",))
        return done.returncode

    assert run_with("127.0.0.3") != 0
    machine.run("sh", "-c", f"printf '{FAR}\\n127.0.0.3\\n' >/etc/sennit/captured-hosts")
    machine.systemctl("reload", "sennit-capture")
    wait_for("the new host", lambda: run_with("127.0.0.3") == 0, 30)


def test_a_restart_serves_again(machine: SystemdContainer) -> None:
    before = show(machine, "MainPID")
    machine.systemctl("restart", "sennit-capture")
    assert show(machine, "MainPID") != before
    assert fetch_captured(machine) == PAGE.read_text()


def test_what_was_killed_runs_again_by_itself_and_takes_over(machine: SystemdContainer) -> None:
    """The captured unit starts before the crash: it is refused meanwhile, and served afterwards."""
    retry = f"until {' '.join(FETCH)} 2>/dev/null; do sleep 0.1; done"
    restarts = int(show(machine, "NRestarts")["NRestarts"])
    machine.systemctl("kill", "--signal=KILL", "sennit-capture")
    done = machine.in_unit("sh", "-c", retry, options=CAPTURED)
    assert done.stdout == PAGE.read_text(), done.stderr
    assert show(machine, "ActiveState", "NRestarts") == {
        "ActiveState": "active",
        "NRestarts": str(restarts + 1),
    }


def test_the_units_hardening_is_in_force_and_stays(machine: SystemdContainer) -> None:
    threshold = f"--threshold={EXPOSURE}"
    said = machine.run(
        "systemd-analyze", "security", "--no-pager", threshold, "sennit-capture.service"
    ).stdout
    assert re.search(r"Overall exposure level for sennit-capture\.service: \d\.\d", said)
    main = show(machine, "MainPID")["MainPID"]
    status = machine.run("cat", f"/proc/{main}/status").stdout
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    for path in ("/etc/sennit/captured-hosts", "/usr/bin/env"):
        assert (
            machine.run("nsenter", f"--target={main}", "-m", "test", "-w", path, check=False).returncode != 0
        )


def test_a_stop_leaves_nothing_and_the_slice_goes_directly(machine: SystemdContainer) -> None:
    machine.systemctl("stop", "sennit-capture")
    assert show(machine, "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    for path in ("/run/sennit/bpf/capture", "/run/sennit-capture"):
        assert machine.run("test", "-e", path, check=False).returncode != 0
    assert machine.in_unit(*FETCH, options=CAPTURED).returncode == REFUSED
    direct = machine.in_unit("curl", "-sS", f"http://127.0.0.1:8080/{PAGE.name}", options=CAPTURED)
    assert direct.stdout == PAGE.read_text()
    machine.systemctl("start", "sennit-capture")
    assert fetch_captured(machine) == PAGE.read_text()
