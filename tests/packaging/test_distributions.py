"""The source distribution and the wheel: built, checked as an index does, and installed where nothing else is."""

import json
import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
pytestmark = pytest.mark.timeout(600)

CLIENT_COMMANDS = (
    *("get", "proxy", "run", "tunnel", "sessions", "known-hosts", "doctor", "event-page"),
    "completion",
)
# what a program with the client's extra can import, and the distributions that are imported by it
IMPORTS = f"""
import importlib, importlib.metadata, json, pkgutil, sys
import smkex, smkex.client, smkex.transport, sennit.parsers
for name in smkex.__all__:
    getattr(smkex, name)
for part in (smkex.client, smkex.transport):
    for module in pkgutil.walk_packages(part.__path__, part.__name__ + "."):
        importlib.import_module(module.name)
for name in {CLIENT_COMMANDS}:
    sennit.parsers.command_parser(name)
owners = importlib.metadata.packages_distributions()
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(json.dumps(sorted({{owner.lower() for name in loaded for owner in owners.get(name, [])}})))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("distributions")
    subprocess.run([ROOT / "packaging" / "build-distributions", made], check=True)
    return made


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def client(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel with extra client, in the lock's versions."""
    made = tmp_path_factory.mktemp("client")
    locked = made / "constraints.txt"
    pins = re.findall(r"^\S+==\S+", (ROOT / "requirements.image.lock").read_text(), re.MULTILINE)
    locked.write_text("\n".join(pins))
    subprocess.run(["/usr/bin/python3", "-m", "venv", made / "venv"], check=True)
    install = [made / "venv" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", locked, f"sennit[client] @ {wheel.as_uri()}"], check=True)
    return made / "venv" / "bin"


def _run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
    )


def test_every_file_of_the_packages_is_in_both(folder: Path, wheel: Path) -> None:
    """Among them the sources of eBPF programs, the fleet's page and its scripts."""
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    listed = subprocess.run(
        ["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    assert {"capture/c/capture.c", "balancer/datapath/c/forwarder.c", "smkex/py.typed"} < wanted
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())
    (source,) = folder.glob("*.tar.gz")
    top = source.name.removesuffix(".tar.gz")
    with tarfile.open(source) as archive:
        names = {name.removeprefix(f"{top}/") for name in archive.getnames()}
    assert wanted | {"LICENSE", "CHANGELOG.md", "pyproject.toml", "packaging/distribution.md"} <= names
    assert {name.partition("/")[0] for name in names - wanted} <= {
        *("LICENSE", "CHANGELOG.md", "pyproject.toml", "packaging", "PKG-INFO", ".gitignore"),
    }


def test_the_same_commit_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    subprocess.run([ROOT / "packaging" / "build-distributions", tmp_path], check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_an_environment_with_the_clients_extra_runs_the_client(client: Path) -> None:
    assert _run(client / "sennit", "--version").stdout == (
        f"sennit {PROJECT['project']['version']}, core interpreted\n"
    )
    for command in CLIENT_COMMANDS:
        done = _run(client / "sennit", command, "--help")
        assert (done.returncode, done.stderr) == (0, ""), command
    assert "_sennit" in _run(client / "sennit", "completion", "bash").stdout


def test_the_extra_has_what_the_client_imports_and_nothing_more(client: Path) -> None:
    done = _run(client / "python", "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["client"]
    direct = {re.split(r"[<>=\[]", requirement)[0].lower() for requirement in wanted}
    assert direct <= set(json.loads(done.stdout))


def test_a_command_of_another_extra_says_which_module_is_missing(client: Path) -> None:
    done = _run(client / "sennit", "control", "--help")
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: control needs the Python module \w+, which is not installed\nhint:  .*sennit\[.*\n",
        done.stderr,
    )
