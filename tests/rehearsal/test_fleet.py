"""`make test-ansible`: three machines through everything that an operator does with a fleet.

First containers on the kernel that is there, a quarter of an hour; then machines under qemu, eighty minutes: Debian 12,
or the suite that SENNIT_TEST_SUITE names. The steps build on each other; what each showed is written to
docs/operate/rehearsal-containers.md and docs/operate/rehearsal.md, for Debian 13 to rehearsal-containers-debian-13.md
and rehearsal-debian-13.md.
"""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import ContainerLab
from debian_image import DISTRIBUTION, ROOT, SUITE, bake, release
from machine import Machine
from machine_lab import MachineLab
from provisioned import DAEMONS, failed_units, holds_net_admin, state_of, stop_agent_and_edge
from virtual_machines import VirtualMachineLab

from balancer.model.timestamp import LIFETIME
from lab.topology import LAB, SERVICE_NAME, VIP
from lab.wait import wait_for

pytestmark = [
    pytest.mark.needs("root", "netns", "bcc", "bird", "container", "qemu"),
    pytest.mark.timeout(5400),
]
SENNIT = str(ROOT / ".venv" / "bin" / "sennit")
PAGES = ROOT / "docs" / "operate"
ENDING = "" if SUITE == "bookworm" else f" on {DISTRIBUTION}"
COMMAND = "make test-ansible" if SUITE == "bookworm" else f"SENNIT_TEST_SUITE={SUITE} make test-ansible"
ON_MACHINES = f"""The rehearsal{ENDING}

Written by `{COMMAND}`: three machines under qemu without hardware support, one emulated core each, from bare
{DISTRIBUTION} with its own kernel. The first has control plane and origin beside its edge; the backbone is inside
WireGuard. Phone, ISPs and transit are namespaces of the machine that it ran on."""
IN_CONTAINERS = f"""The rehearsal in containers{ENDING}

Written by `{COMMAND}`: three containers of {DISTRIBUTION} with systemd, on the kernel of the machine that it ran on.
The first has control plane and origin beside its edge; the backbone is a plain network, and there are probes. Phone,
ISPs and transit are namespaces. The same on machines with a kernel of their own is [the rehearsal](rehearsal.md)."""
SIZE = 8 << 20
RATE = "1M"  # of a download during an upgrade: some are always under way, and the machines have time for the rest


class Record:
    """What was done and what it showed, as a page."""

    def __init__(self, page: Path, about: str) -> None:
        self.text = f"# {about}\n"
        self._page = page
        self._started = time.monotonic()

    def add(self, title: str, *blocks: str) -> None:
        print(f"rehearsal: {time.monotonic() - self._started:.0f} s: {title}", flush=True)
        self.text += f"\n## {title}\n"
        for block in blocks:
            self.text += f"\n```\n{block.strip()}\n```\n"
        self._page.write_text(self.text)


@pytest.fixture(scope="module")
def record(lab: MachineLab) -> Record:
    ending = "" if SUITE == "bookworm" else f"-{DISTRIBUTION.lower().replace(' ', '-')}"
    if isinstance(lab, VirtualMachineLab):
        return Record(PAGES / f"rehearsal{ending}.md", ON_MACHINES)
    return Record(PAGES / f"rehearsal-containers{ending}.md", IN_CONTAINERS)


@pytest.fixture(scope="module")
def archives() -> tuple[Path, Path]:
    return release("rehearsal-1"), release("rehearsal-2")


@pytest.fixture(scope="module", params=["containers", "machines"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineLab]:
    folder, edges = tmp_path_factory.mktemp("fleet"), [edge.name for edge in LAB.edges()]
    if request.param == "machines":
        made: MachineLab = VirtualMachineLab(folder, bake("disk"), edges)
    else:
        made = ContainerLab(folder, bake("root"), edges)
    with made:
        yield made


on_machines = pytest.mark.parametrize("lab", ["machines"], indirect=True)  # their kernel has WireGuard


def _play(lab: MachineLab, name: str, archive: Path, *options: str) -> str:
    """Run a playbook and return its recap."""
    started = time.monotonic()
    done = lab.playbook(name, archive, *options)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-3000:]
    recap = done.stdout[done.stdout.index("PLAY RECAP") :].strip().splitlines()[1:]
    return "\n".join(
        [
            " ".join(["$ ansible-playbook", f"playbooks/{name}.yml", *options]),
            *(" ".join(line.split()) for line in recap),
            f"({time.monotonic() - started:.0f} s)",
        ]
    )


def _edges(lab: MachineLab, *options: str) -> str:
    return lab.machines["edge1"].run(
        *("sennit", "edges", "list", *options, "--control", f"https://{lab.control}:8443"),
        *("--ca", "/etc/sennit/control/ca.pem", "--token-file", "/etc/sennit/control/admin.token"),
    ).stdout  # fmt: skip


def _table_key(lab: MachineLab, *words: str) -> str:
    return (
        lab.machines["edge1"]
        .run(
            "env",
            f"SENNIT_CONTROL_URL=https://{lab.control}:8443",
            "SENNIT_CONTROL_CA=/etc/sennit/control/ca.pem",
            "SENNIT_CONTROL_TOKEN_FILE=/etc/sennit/control/admin.token",
            *("sennit", "table-key", *words),
        )
        .stdout
    )


def _signing_key(lab: MachineLab) -> str:
    """Return the public key that the control plane signs with, 64 hexadecimal digits."""
    return str(json.loads(_table_key(lab))["ed25519"])


def _placed_keys(lab: MachineLab) -> set[str]:
    """Return what root's copies of the key say, over all machines."""
    copies = [machine.run("cat", "/etc/sennit/table.key").stdout for machine in lab.machines.values()]
    return {json.loads(copy)["ed25519"] for copy in copies}


def _learned_keys(machine: Machine) -> list[list[str]]:
    """Return the keys that an agent noted that it believes, at each change; the first 16 digits of each."""
    shown = machine.run("journalctl", "-u", "sennit-agent", "-o", "cat").stdout
    return [re.findall(r"\b[0-9a-f]{16}\b", line) for line in shown.splitlines() if "keys learned" in line]


def _healths(lab: MachineLab) -> dict[str, str]:
    """Return each edge's state and health, as the control plane has them."""
    edges = json.loads(_edges(lab, "--json"))
    return {edge["name"]: f"{edge['state']} {edge['lease']['health']}" for edge in edges}


def _in_force(machine: Machine, key: str) -> bool:
    """Return whether the table that this machine's forwarder has applied is signed with a key."""
    verify = (
        "import json, sys; from pathlib import Path; from balancer.model.table_file import read_signed_table; "
        "from node.state.forwarder import read_applied_generation; state = Path('/var/lib/sennit'); "
        "table = read_signed_table(state, (bytes.fromhex(sys.argv[1]),)); "
        "sys.exit(read_applied_generation(state) != table['generation'])"
    )
    python = "/opt/sennit/current/bin/python"
    return machine.run(python, "-c", verify, key, check=False).returncode == 0


def _get(lab: MachineLab, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        lab.phone(SENNIT, "get", *options, f"smkex://{SERVICE_NAME}/file"), capture_output=True, timeout=180
    )


def _releases(lab: MachineLab) -> str:
    return "\n".join(
        f"{name}: {machine.run('readlink', '/opt/sennit/current', '/opt/sennit/previous', check=False).stdout.split()}"
        for name, machine in lab.machines.items()
    )


class Client:
    """A phone that downloads in loops, slowly, and counts."""

    def __init__(self, lab: MachineLab) -> None:
        self.took: list[float] = []  # seconds of each that was whole
        self.failed: list[str] = []
        self.loops = 1 if isinstance(lab, VirtualMachineLab) else 8
        self._lab, self._stopped = lab, threading.Event()
        self._threads = [threading.Thread(target=self._loop) for _ in range(self.loops)]

    def __enter__(self) -> "Client":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        while not self._stopped.is_set():
            begun = time.monotonic()
            try:
                got = _get(self._lab, "--limit-rate", RATE)
            except subprocess.TimeoutExpired as error:
                self.failed.append(f"{time.strftime('%H:%M:%S')}: {error}")
                continue
            if got.returncode == 0 and len(got.stdout) == SIZE:
                self.took.append(time.monotonic() - begun)
            else:
                self.failed.append(f"{time.strftime('%H:%M:%S')}: {got.stderr.decode().strip()}")


def test_bare_machines_become_a_fleet(lab: MachineLab, archives: tuple[Path, Path], record: Record) -> None:
    about = "\n".join(
        f"{name}: {machine.run('uname', '-srv').stdout.strip()}" for name, machine in lab.machines.items()
    )
    recap = _play(lab, "site", archives[0])
    lab.machines["edge1"].run("sh", "-c", f"head -c {SIZE} /dev/urandom >/srv/sennit/file")
    record.add("From bare machines to a fleet", about, recap, _edges(lab))


def test_every_daemon_runs_as_its_own_user(lab: MachineLab) -> None:
    for name in DAEMONS:
        said = state_of(lab.machines["edge1"], name)
        assert said == {"ActiveState=active", "NRestarts=0", f"User=sennit-{name}"}
    for machine in lab.machines.values():
        assert failed_units(machine) == ""
        assert not holds_net_admin(machine, "sennit-edge")


def test_the_control_plane_calls_the_edges_well(lab: MachineLab) -> None:
    edges = json.loads(_edges(lab, "--json"))
    states = [(edge["name"], edge["state"], edge["lease"]["health"]) for edge in edges]
    assert states == [(name, "up", "ok") for name in lab.machines]


@on_machines
def test_a_key_of_the_backbone_stays_on_its_host(lab: MachineLab) -> None:
    for name, machine in lab.machines.items():
        assert machine.run("stat", "-c", "%a %U", "/etc/sennit/backbone/wireguard.key").stdout == "600 root\n"
        public = (lab.folder / "secrets" / "wireguard" / f"{name}.pub").read_text().strip()
        assert machine.run("wg", "show", "wg0", "public-key").stdout.strip() == public
        key = machine.run("cat", "/etc/sennit/backbone/wireguard.key").stdout.strip().encode()
        kept = [file for file in lab.folder.rglob("*") if file.is_file() and file.suffix != ".console"]
        assert not [file for file in kept if key in file.read_bytes()]


@on_machines
def test_no_other_host_reaches_the_listening_port_of_the_backbone(lab: MachineLab) -> None:
    rules = lab.machines["edge1"].run("nft", "list", "table", "inet", "sennit").stdout
    assert "udp dport 51820 ip saddr != @endpoints" in rules


@pytest.mark.parametrize("transport", ["tcp", "mptcp"])
def test_a_phone_downloads_over_two_paths_through_two_edges(
    lab: MachineLab, record: Record, transport: str
) -> None:
    wait_for("the routes", lambda: _get(lab, "--transport", transport).returncode == 0, 60)
    got = _get(lab, "--transport", transport, "--verbose")
    assert got.returncode == 0, got.stderr.decode()
    assert len(got.stdout) == SIZE
    report = got.stderr.decode()
    assert "enters at edge 1" in report
    assert "enters at edge 2" in report
    counters = lab.machines["edge2"].run("sennit", "forwarder", "status").stdout
    assert re.search(r"^forwarded\s+[1-9]", counters, re.MULTILINE), counters
    assert "programs: object compiled ahead" in counters
    record.add(f"A download over two paths, transport {transport}", report, "edge2: " + counters)


@on_machines
def test_a_restart_of_the_backbone_leaves_the_forwarder_attached(lab: MachineLab) -> None:
    machine = lab.machines["edge2"]
    machine.run("systemctl", "restart", "sennit-backbone")
    ping = ("ping", "-c", "1", "-W", "2", lab.control)
    wait_for("the tunnel", lambda: machine.run(*ping, check=False).returncode == 0, 60)
    assert "bpf" in machine.run("tc", "filter", "show", "dev", "wg0", "ingress").stdout
    carried = machine.run("wg", "show", "wg0", "transfer").stdout
    assert any(int(line.split()[2]) for line in carried.splitlines())


def test_a_second_run_changes_nothing(lab: MachineLab, archives: tuple[Path, Path], record: Record) -> None:
    recap = _play(lab, "site", archives[0])
    record.add("The same again: nothing changes", recap)
    assert re.findall(r"changed=(\d+)", recap) == ["0", "0", "0"]


def test_check_mode_finds_nothing_to_change(
    lab: MachineLab, archives: tuple[Path, Path], record: Record
) -> None:
    recap = _play(lab, "site", archives[0], "--check", "--diff", "--limit", "edge2")
    record.add("What would change? Nothing", recap)
    assert re.findall(r"changed=(\d+)", recap) == ["0"]


def test_the_signing_key_changes_under_load_and_fails_no_download(
    lab: MachineLab, archives: tuple[Path, Path], record: Record
) -> None:
    before = _signing_key(lab)
    with Client(lab) as client:
        recap = _play(lab, "table-key", archives[0])
        key = _signing_key(lab)
        for machine in lab.machines.values():
            wait_for("the table of the next key", lambda machine=machine: _in_force(machine, key), 60)
    status = _table_key(lab, "status")
    record.add(
        "Another signing key, while a phone downloads in a loop",
        recap,
        status,
        f"downloads of {SIZE >> 20} MB meanwhile: {len(client.took)}; failed: {len(client.failed)}\n"
        + "\n".join(client.failed),
    )
    assert key != before
    assert _placed_keys(lab) == {key}
    assert "known to 3 of 3 live nodes" in status
    for machine in lab.machines.values():
        assert [before[:16], key[:16]] in _learned_keys(machine)  # both, until the end
        assert failed_units(machine) == ""
    assert client.took
    assert client.failed == []


def test_a_stolen_signing_key_is_replaced_and_a_node_that_was_away_is_given_the_next(
    lab: MachineLab, archives: tuple[Path, Path], record: Record
) -> None:
    before = _signing_key(lab)
    away = lab.machines["edge3"]
    with Client(lab) as client:
        replaced = _play(
            lab, "table-key", archives[0], "-e", "sennit_key_stolen=true", "--limit", "edge1,edge2"
        )
        key = _signing_key(lab)
        for name in ("edge1", "edge2"):
            wait_for("the new key", lambda name=name: _in_force(lab.machines[name], key), 60)
        # seconds: of a proof that is not renewed, and some
        wait_for("edge3 to refuse", lambda: _healths(lab)["edge3"] == "up degraded", LIFETIME + 120)
        listed = _edges(lab)
        assert _in_force(away, before)  # it forwards on
        recovered = _play(lab, "table-key", archives[0], "--tags", "install", "--limit", "edge3")
        wait_for("the new key", lambda: _in_force(away, key), 60)
        wait_for("health", lambda: set(_healths(lab).values()) == {"up ok"}, 120)
    record.add(
        "A stolen signing key, replaced; the third edge was away and is given the key later",
        replaced,
        listed,
        recovered,
        _edges(lab),
        f"downloads of {SIZE >> 20} MB meanwhile: {len(client.took)}; failed: {len(client.failed)}\n"
        + "\n".join(client.failed),
    )
    assert key != before
    assert _placed_keys(lab) == {key}
    assert key[:16] not in {one for each in _learned_keys(away) for one in each}  # no link leads to it
    assert client.took
    assert client.failed == []


def test_an_upgrade_under_load_fails_no_download(
    lab: MachineLab, archives: tuple[Path, Path], record: Record
) -> None:
    with Client(lab) as client:
        recap = _play(lab, "upgrade", archives[1], "--skip-tags", "host")
    record.add(
        "An upgrade, edge by edge, while a phone downloads in a loop",
        recap,
        f"downloads of {SIZE >> 20} MB during the upgrade, {client.loops} at once: {len(client.took)}, "
        f"in {max(client.took, default=0):.0f} s at most; failed: {len(client.failed)}\n"
        + "\n".join(client.failed),
        _releases(lab),
    )
    assert client.took
    assert client.failed == []
    assert "rehearsal-2" in _releases(lab)


def test_a_drained_edge_announces_nothing_and_comes_back(
    lab: MachineLab, archives: tuple[Path, Path], record: Record
) -> None:
    drained = _play(lab, "drain", archives[1], "--limit", "edge1")
    listed = _edges(lab)
    got = _get(lab, "--verbose")
    report = got.stderr.decode()
    assert got.returncode == 0, report
    assert "owner edge 1" not in report
    back = _play(lab, "undrain", archives[1], "--limit", "edge1")
    record.add("A drain, a download meanwhile, and back", drained, listed, report, back)


def test_a_rollback_is_a_switch(lab: MachineLab, archives: tuple[Path, Path], record: Record) -> None:
    recap = _play(lab, "rollback", archives[1], "--skip-tags", "host")
    record.add("Back to the release before", recap, _releases(lab))
    for machine in lab.machines.values():
        assert machine.run("readlink", "/opt/sennit/current").stdout.strip() == "rehearsal-1"
    assert _get(lab).returncode == 0


def test_agent_and_edge_end_in_order_and_the_route_goes_first(lab: MachineLab) -> None:
    machine = lab.machines["edge2"]
    stops = stop_agent_and_edge(machine)
    assert stops.index(("sennit-agent.service", "Stopped")) < stops.index(("sennit-edge.service", "Stopping"))
    assert " down " in machine.run("birdc", "show", "protocols", "vip").stdout
    machine.run("systemctl", "start", "sennit-edge", "sennit-agent")
    wait_for(
        "the edge", lambda: all(edge["state"] == "up" for edge in json.loads(_edges(lab, "--json"))), 120
    )


def test_a_removed_edge_leaves_nothing(lab: MachineLab, archives: tuple[Path, Path], record: Record) -> None:
    recap = _play(lab, "remove", archives[0], "--limit", "edge3")
    machine = lab.machines["edge3"]
    left = machine.run(
        "sh", "-c", "ls -d /opt/sennit /etc/sennit /var/lib/sennit /etc/systemd/system/sennit* 2>/dev/null; "
        "ls /sys/class/net; ip -4 -brief address show lo; tc filter show dev up0 ingress; ip rule; "
        "getent passwd | grep sennit; true",
    ).stdout  # fmt: skip
    record.add("A removal, and what it leaves", recap, left, _edges(lab))
    assert "up0" in left
    assert not re.search(f"sennit|wg0|probe0|{VIP}", left)
    assert _get(lab).returncode == 0
