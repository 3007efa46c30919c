"""What must fail, fails with its own error and status, and says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lab_download import GetSample

from balancer.datapath.maps.counters import read_counters
from balancer.model.verdict import Reason
from lab.namespace import daemons
from lab.namespace.place import LabFolder
from runtime.errors import ExitStatus

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")

CONNECT = (
    "import socket,sys\n"
    "s=socket.socket(); s.settimeout(5)\n"
    "try: s.connect((sys.argv[1], int(sys.argv[2])))\n"
    "except ConnectionRefusedError: print('refused')\n"
    "except TimeoutError: print('silence')\n"
    "else: print('connected')\n"
)


def connect_from_phone(place: LabFolder, port: int) -> str:
    done = subprocess.run(
        [*place.enter("phone"), sys.executable, "-c", CONNECT, "203.0.113.1", str(port)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_an_unknown_id_gets_a_reset(place: LabFolder) -> None:
    before = read_counters(place.node("edge1") / "bpf")[Reason.RESET_UNKNOWN_ID][0]
    assert connect_from_phone(place, 10777) == "refused"
    assert read_counters(place.node("edge1") / "bpf")[Reason.RESET_UNKNOWN_ID][0] > before


def test_id_zero_gets_no_answer(place: LabFolder) -> None:
    before = read_counters(place.node("edge1") / "bpf")[Reason.DROP_ID_ZERO][0]
    assert connect_from_phone(place, 10000) == "silence"
    assert read_counters(place.node("edge1") / "bpf")[Reason.DROP_ID_ZERO][0] > before


def test_one_interface_is_refused(get: GetSample) -> None:
    done = get(paths=("cell0",))
    assert done.returncode == ExitStatus.REFUSED
    assert "OnePathOnly" in done.stderr
    assert "hint:" in done.stderr


def test_the_same_interface_twice_is_a_shared_path(get: GetSample) -> None:
    for transport in ("tcp", "mptcp"):
        done = get("--transport", transport, paths=("cell0", "cell0"))
        assert done.returncode == ExitStatus.REFUSED
        assert "SharedPath" in done.stderr


def test_a_client_without_net_admin_gets_a_hint(get: GetSample) -> None:
    assert shutil.which("setpriv")
    drop = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    done = get("--transport", "mptcp", prefix=drop)
    assert done.returncode == ExitStatus.REFUSED
    assert "NotPermitted" in done.stderr
    assert "CAP_NET_ADMIN" in done.stderr
    assert "--transport tcp" in done.stderr


def test_a_client_without_any_privilege_downloads_over_tcp(get: GetSample) -> None:
    done = get("-o", "/dev/null", prefix=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))
    assert done.returncode == 0, done.stderr
    assert "25,165,824 bytes" in done.stderr
    assert Path("/dev/null").is_char_device()


def test_mptcp_that_a_middlebox_strips_is_never_replaced_by_tcp(place: LabFolder, get: GetSample) -> None:
    strip = "tcp option mptcp exists reset tcp option mptcp"
    rules = f"table inet strip {{ chain f {{ type filter hook forward priority 0; {strip}; }}; }}"
    nft = [*place.enter("ispa"), "nft"]
    subprocess.run([*nft, rules], check=True, capture_output=True)
    try:
        done = get("--transport", "mptcp", "--timeout", "20")
    finally:
        subprocess.run([*nft, "delete", "table", "inet", "strip"], check=True)
    assert done.returncode == ExitStatus.REFUSED
    assert "MptcpFellBack" in done.stderr


def test_a_second_path_that_drops_everything_misses_the_deadline(place: LabFolder, get: GetSample) -> None:
    rules = "table inet silence { chain f { type filter hook forward priority 0; tcp dport 10001 drop; }; }"
    nft = [*place.enter("ispb"), "nft"]
    subprocess.run([*nft, rules], check=True, capture_output=True)
    try:
        done = get("--timeout", "2")
    finally:
        subprocess.run([*nft, "delete", "table", "inet", "silence"], check=True)
    assert done.returncode == ExitStatus.REFUSED
    assert "DeadlineMissed" in done.stderr


def test_garbage_on_the_service_port_is_cut_off_at_once(place: LabFolder) -> None:
    script = (
        "import socket\n"
        "s=socket.create_connection(('203.0.113.1',443),5); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
        "s.settimeout(5); data=b''\n"
        "while True:\n"
        "  try: more=s.recv(100)\n"
        "  except ConnectionResetError: break\n"
        "  if not more: break\n"
        "  data+=more\n"
        "print(data.hex())\n"
    )
    done = subprocess.run(
        [*place.enter("phone"), sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("060000020001", "")


def test_the_table_shows_both_edges_up(place: LabFolder) -> None:
    from lab.namespace.bringup import command_access
    from lab.topology import LAB

    shown = daemons.run(
        place, "control", daemons.sennit_program(), "edges", "list", "--json", *command_access(place, LAB)
    )
    assert shown.count('"up"') >= 2


def test_the_hosts_own_namespace_is_left_alone() -> None:
    shown = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    assert "203.0.113.1" not in shown
    assert "10.255.0." not in shown


def test_paths_that_disagree_about_the_address_are_refused(place: LabFolder) -> None:
    """One resolver a path, each reached over its path; that of the second lies."""
    responder = Path(__file__).parents[2] / "support" / "dns_responder.py"
    servers = [
        subprocess.Popen(
            [*place.enter(node), sys.executable, str(responder), address, answer],
            stdout=subprocess.PIPE,
            text=True,
        )
        for node, address, answer in (("ispb", "10.3.2.1", "203.0.113.66"),)
    ]
    try:
        for server in servers:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
        command = [
            daemons.sennit_program(),
            "get",
            "smkex://cdn.lab/sample.bin",
            "--path",
            "cell0",
            "--path",
            "wifi0",
        ]
        lied = subprocess.run(
            [
                *place.enter("phone"),
                *command,
                "--resolver",
                "cell0=10.1.0.1",
                "--resolver",
                "wifi0=10.3.2.1",
            ],
            capture_output=True,
            text=True,
        )
        assert lied.returncode == ExitStatus.REFUSED
        assert "AddressDisagrees" in lied.stderr
        assert "203.0.113.66" in lied.stderr
    finally:
        for server in servers:
            server.terminate()
            server.wait(5)
