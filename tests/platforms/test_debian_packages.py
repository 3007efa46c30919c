"""Debian packages of the release in a bare root: installed, used, upgraded over changed settings, and purged."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare_root import BareRoot, bare_root
from debian_image import release

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "packaging" / "build-debs"
NAMES = ("sennit-client", "sennit-common", "sennit-control", "sennit-edge")
DAEMONS = ("agent", "capture", "control", "edge", "forwarder", "origin", "path", "probe", "relay")
# what others write while packages come and go
OTHERS = (
    r"^(/var/lib/dpkg|/var/lib/apt|/var/cache/(apt|man|debconf|ldconfig)|/var/log/"
    r"|/etc/(passwd|shadow|group|gshadow)-|/root/\.)"
)
LIST = (
    r"find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \) -prune"
    r" -o -printf '%p %M %u:%g %l\n'"
)
pytestmark = [pytest.mark.needs("root", "netns", "mmdebstrap"), pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def archive() -> Path:
    """The archive that SENNIT_TEST_ARCHIVE names, such as the one `make release` has built, or one of this checkout."""
    named = os.environ.get("SENNIT_TEST_ARCHIVE")
    return Path(named) if named else release()


@pytest.fixture(scope="module")
def debs(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("debs")
    subprocess.run([BUILD, archive, folder], check=True)
    found = {file.name.partition("_")[0]: file for file in folder.iterdir()}
    assert sorted(found) == list(NAMES)
    return found


@pytest.fixture(scope="module")
def root(debs: dict[str, Path]) -> Iterator[BareRoot]:
    """A root of this distribution with what the packages depend on, and the packages in /tmp."""
    codename = _output("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME")
    depends = " ".join(_output("dpkg-deb", "-f", str(file), "Depends") for file in debs.values())
    wanted = {re.split(r"[ (|]", each.strip())[0] for each in depends.split(",")} - {*NAMES, ""}
    assert {"python3", "libbpf1", "bird2", "systemd"} <= wanted
    with bare_root(codename, f"--include={','.join(sorted(wanted))}") as root:
        for name, file in debs.items():
            (root.folder / "tmp" / f"{name}.deb").write_bytes(file.read_bytes())
        yield root


@pytest.fixture(scope="module")
def bare(root: BareRoot) -> set[str]:
    """The files of the root before the packages; then they are installed."""
    files = _files(root)
    _said(root, "dpkg --install /tmp/sennit-*.deb", 300)
    return files


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _said(root: BareRoot, command: str, seconds: float = 60) -> str:
    outcome = root.run(command, seconds, "/")
    assert outcome.status == 0, f"{command}: {outcome.said}"
    return outcome.said


def _files(root: BareRoot) -> set[str]:
    return {line for line in _said(root, LIST).splitlines() if not re.match(OTHERS, line)}


def test_lintian_finds_no_error(debs: dict[str, Path]) -> None:
    done = subprocess.run(
        [
            "lintian",
            "--allow-root",
            "--fail-on",
            "error",
            "--suppress-tags",
            "bogus-mail-host",
            *debs.values(),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_the_same_archive_gives_the_same_packages(
    archive: Path, debs: dict[str, Path], tmp_path: Path
) -> None:
    subprocess.run([BUILD, archive, tmp_path], check=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in debs.values()
    }


def test_the_command_its_pages_and_its_completion_are_there(root: BareRoot, bare: set[str]) -> None:
    assert "core compiled" in _said(root, "sennit --version")
    for command in ("get", "edge", "control", "agent", "forwarder", "services"):
        assert "usage:" in _said(root, f"sennit {command} --help")
    assert ".SH SYNOPSIS" in _said(root, "zcat /usr/share/man/man1/sennit-get.1.gz")
    assert "/opt/sennit" not in _said(root, "zcat /usr/share/man/man1/sennit.1.gz")
    assert "sennit" in _said(
        root, "bash -c '. /usr/share/bash-completion/completions/sennit; complete -p sennit'"
    )
    _said(
        root,
        "test -s /usr/share/zsh/vendor-completions/_sennit -a -s /usr/share/fish/vendor_completions.d/sennit.fish",
    )
    assert _files(root) > bare
    assert not [line for line in _files(root) - bare if line.startswith(("/opt", "/usr/local"))]


def test_nothing_of_the_program_is_written_when_it_runs(root: BareRoot, bare: set[str]) -> None:
    """Every module is compiled: Python as root writes no file that dpkg does not know."""
    before = _files(root)
    _said(
        root, "sennit edges --help; sennit doctor --help; /usr/lib/sennit/bin/python3 -c 'import smkex.core'"
    )
    assert _files(root) == before


def test_units_are_sound_and_none_is_enabled(root: BareRoot, bare: set[str]) -> None:
    folder = _said(root, "dirname $(dpkg --listfiles sennit-edge | grep sennit-edge.service)").strip()
    units = _said(root, f"ls {folder} | grep -E '^(sennit-.*\\.(service|slice)|run-sennit.*)$'").split()
    assert {f"sennit-{name}.service" for name in DAEMONS} | {"run-sennit-bpf.mount"} < set(units)
    verified = root.run(f"cd {folder} && systemd-analyze verify --man=no {' '.join(units)}", 60)
    assert (verified.status, verified.said) == (0, "")
    for unit in units:
        assert root.run(f"systemctl is-enabled {unit}", 30).said.strip() in ("disabled", "static"), unit
        assert "/opt/sennit" not in _said(root, f"cat {folder}/{unit}")


def test_users_and_folders_are_made(root: BareRoot, bare: set[str]) -> None:
    for name in DAEMONS:
        assert f"sennit-{name}:" in _said(root, f"getent passwd sennit-{name}")
    assert (
        _said(root, "stat -c '%U:%G %a' /var/lib/sennit/agent-edge").strip()
        == "sennit-agent:sennit-edge 2750"
    )
    assert _said(root, "stat -c '%U:%G %a' /etc/sennit/control").strip() == "root:sennit-control 750"
    assert _said(root, "stat -c '%U:%G %a' /run/sennit-bird").strip() == "sennit-agent:bird 2750"


def test_a_daemon_without_settings_says_what_is_missing(root: BareRoot, bare: set[str]) -> None:
    outcome = root.run("sennit agent --config /etc/sennit/agent.toml", 30)
    assert outcome.status == 2
    assert "--name" in outcome.said
    for daemon in ("edge", "control", "origin"):
        _said(root, f'python3 -c \'import tomllib; tomllib.load(open("/etc/sennit/{daemon}.toml", "rb"))\'')


def test_an_upgrade_keeps_changed_settings_and_renews_the_others(
    root: BareRoot, bare: set[str], debs: dict[str, Path], tmp_path: Path
) -> None:
    for name, file in debs.items():
        tree = tmp_path / name
        subprocess.run(["dpkg-deb", "--raw-extract", file, tree], check=True)
        control = tree / "DEBIAN" / "control"
        control.write_text(re.sub(r"~debian|~ubuntu", r"+next\g<0>", control.read_text()))
        for changed in ("edge.toml", "forwarder.env"):
            if (settings := tree / "etc" / "sennit" / changed).exists():
                settings.write_text(settings.read_text() + "# new in this version\n")
        subprocess.run(
            ["dpkg-deb", "--build", "-Znone", tree, root.folder / "tmp" / f"next-{name}.deb"],
            check=True,
            capture_output=True,
        )
    _said(root, "echo 'max_sessions = 77' >>/etc/sennit/edge.toml")
    before = _said(root, "dpkg-query -W -f '${Version}' sennit-edge")
    _said(root, "dpkg --force-confdef --force-confold --install /tmp/next-sennit-*.deb", 300)
    assert _said(root, "dpkg-query -W -f '${Version}' sennit-edge").startswith(
        before.partition("~")[0] + "+next"
    )
    kept = _said(root, "cat /etc/sennit/edge.toml")
    assert "max_sessions = 77" in kept
    assert "new in this version" not in kept
    assert "new in this version" in _said(root, "cat /etc/sennit/forwarder.env")
    assert "core compiled" in _said(root, "sennit --version")


def test_purge_leaves_nothing(root: BareRoot, bare: set[str]) -> None:
    """Last: settings, keys, state and enabled units too; what a user remembers stays in the home folder."""
    _said(root, "systemctl enable sennit-edge.service sennit-control.service sennit-capture.service")
    _said(root, "touch /var/lib/sennit/agent/node.json /etc/sennit/edge/service.key /etc/sennit/table.key")
    _said(
        root,
        "install -d /var/lib/sennit-control /var/cache/sennit && touch /var/lib/sennit-control/control.db",
    )
    _said(root, "dpkg --remove sennit-client sennit-control sennit-edge", 120)
    _said(root, "test -e /etc/sennit/edge.toml -a -e /var/lib/sennit/agent/node.json")
    _said(root, f"dpkg --purge {' '.join(NAMES)}", 120)
    assert _files(root) == bare
    assert _said(root, "getent passwd; getent group").count("sennit") == 0
    assert _said(root, "ls -A /run | grep -c sennit || true").strip() == "0"
