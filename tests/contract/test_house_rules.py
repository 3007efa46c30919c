"""The rules of the house that a machine can check."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_contracts() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_false_import_is_noticed(tmp_path: Path) -> None:
    """The contracts bite: a core that imports socket is refused."""
    for package in (
        "runtime",
        "node",
        "services",
        "smkex",
        "capture",
        "relay",
        "edge",
        "balancer",
        "origin",
        "sennit",
        "lab",
    ):
        subprocess.run(["cp", "-r", ROOT / package, tmp_path / package], check=True)
    (tmp_path / "smkex" / "core" / "intruder.py").write_text("import socket\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode != 0
    assert "socket" in done.stdout


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    names = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not (ROOT / "tests" / "__init__.py").exists()


@pytest.mark.parametrize("file", sorted(ROOT.glob("packages*.debian")), ids=lambda file: file.name)
def test_a_package_list_names_no_release_of_a_program(file: Path) -> None:
    """`postgresql-15` exists in Debian 12 alone: its metapackage `postgresql` in all."""
    names = file.read_text().split()
    assert len(names) == len(set(names)) > 0
    assert [name for name in names if re.search(r"-\d+(\.\d+)*$|^python3\.", name)] == []


def test_the_lab_installs_what_it_runs_with_and_no_more(tmp_path: Path) -> None:
    lists = {name: (ROOT / name).read_text().split() for name in ("packages.debian", "packages.test.debian")}
    assert not set(lists["packages.debian"]) & set(lists["packages.test.debian"])
    assert {"packages.debian", "requirements.image.lock", "requirements.editable.lock"} == _installed(
        "lab", tmp_path
    )
    assert {"packages.test.debian", "requirements.lock"} < _installed("check", tmp_path)
    assert _installed("lab", tmp_path) < _installed("check", tmp_path)


def _installed(target: str, folder: Path) -> set[str]:
    """Return the lists that `make TARGET` installs from into a fresh environment."""
    command = ["make", "--dry-run", f"VENV={folder / 'fresh'}", target]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"packages[\w.]*\.debian|requirements[\w.]*\.lock", said))


def test_no_test_of_make_test_needs_a_package_that_it_does_not_install() -> None:
    """`make test` installs packages.debian and packages.test.debian, and expects every capability."""
    elsewhere = {"kernels", "rehearsal", "platforms", "long"}
    for file in (ROOT / "tests").rglob("test_*.py"):
        needed = set(re.findall(r"""needs\(([^)]*)\)""", file.read_text()))
        if any(f'"{name}"' in names for names in needed for name in ("qemu", "arm64")):
            assert file.relative_to(ROOT / "tests").parts[0] in elsewhere, file


def test_all_locks_hold_the_same_versions() -> None:
    """So that one environment can be made from one after the other."""
    pins: dict[str, set[str]] = {}
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert len(locks) == 4
    for lock in locks:
        for name, version in re.findall(r"^([a-z][\w.-]*)==(\S+)", lock.read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert len(pins) > 100
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_a_lock_serves_every_python_and_architecture() -> None:
    """Resolved for 3.11 alone it would lack what another Python needs; atheris is to be had for x86_64 alone."""
    lines = [
        line for file in sorted(ROOT.glob("requirements*.lock")) for line in file.read_text().splitlines()
    ]
    assert "--universal --python-version 3.11" in (ROOT / "Makefile").read_text()
    assert [line for line in lines if line.startswith("colorama==") and "sys_platform == 'win32'" in line]
    assert [
        line for line in lines if line.startswith("atheris==") and "; platform_machine == 'x86_64'" in line
    ]


def test_the_image_is_built_on_any_release_of_debian() -> None:
    """`DEBIAN_IMAGE` chooses the base: nothing but its default names a release, or the Python of one."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    named = [line for line in lines if re.search(r"python3\.\d|bookworm|trixie", line)]
    assert named == ["ARG DEBIAN_IMAGE=debian:bookworm-slim"]


def test_every_package_is_built_wherever_packages_are_listed() -> None:
    """A package that the image's context or the wheel leaves out is missing only once a container starts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert [name for name in packages if f"!{name}" not in context] == []
    assert project["tool"]["importlinter"]["root_packages"] == packages
    assert set(packages) < set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    assert set(packages) <= set(project["tool"]["mypy"]["packages"])
    for name in ("Makefile", "packaging/build-wheel"):
        assert " ".join(packages) in (ROOT / name).read_text(), name
