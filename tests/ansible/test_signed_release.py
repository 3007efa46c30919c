"""What the role common verifies before it unpacks: a release that its owner has not signed as it is is refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from release_key import make_key

ROOT = Path(__file__).parents[2]
SIGN = ROOT / "packaging" / "sign-release"
COMMON = ROOT / "ansible" / "roles" / "common"
NAME = "sennit-2-debian12-amd64.tar.gz"


def _sign(folder: Path, key: Path | None) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "SENNIT_RELEASE_KEY"}
    if key is not None:
        environment["SENNIT_RELEASE_KEY"] = str(key)
    return subprocess.run([SIGN, folder], env=environment, capture_output=True, text=True)


def _change_archive(folder: Path) -> None:
    (folder / NAME).write_bytes(b"another archive")


def _change_archive_and_checksums(folder: Path) -> None:
    signature = (folder / "SHA256SUMS.sig").read_bytes()
    _change_archive(folder)
    (folder / "SHA256SUMS.sig").unlink()
    assert _sign(folder, None).returncode == 0
    (folder / "SHA256SUMS.sig").write_bytes(signature)


def _remove_signature(folder: Path) -> None:
    (folder / "SHA256SUMS.sig").unlink()


def _remove_archive(folder: Path) -> None:
    (folder / NAME).unlink()


def _take_a_signature_for_something_else(folder: Path) -> None:
    _remove_signature(folder)
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", folder.parent / "owner"]
    subprocess.run([*sign, folder / "SHA256SUMS"], check=True)


def _leave(folder: Path) -> None:
    pass


# what is done to a signed release, the keys that the inventory has, and what the refusal says; "": it is unpacked
CASES: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "as it was signed": (_leave, ["owner"], ""),
    "by one of two keys": (_leave, ["stranger", "owner"], ""),
    "a changed archive": (_change_archive, ["owner"], "it was changed, or is incomplete"),
    "changed with its checksums": (
        _change_archive_and_checksums,
        ["owner"],
        "No key of sennit_release_signers has signed",
    ),
    "no archive": (_remove_archive, ["owner"], NAME),
    "no signature": (_remove_signature, ["owner"], "SENNIT_RELEASE_KEY=FILE make release"),
    "the wrong key": (_leave, ["stranger"], "get the release again from where its owner keeps it"),
    "no key": (_leave, [], "sennit_release_signers in the inventory"),
    "a signature for git": (
        _take_a_signature_for_something_else,
        ["owner"],
        "No key of sennit_release_signers",
    ),
}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    return {name: make_key(tmp_path / name) for name in ("owner", "stranger")}


def _task(name: str, folder: Path, keys: list[str]) -> dict[str, object]:
    given = {
        **yaml.safe_load((COMMON / "defaults" / "main.yml").read_text()),
        **yaml.safe_load((COMMON / "vars" / "main.yml").read_text()),
        "sennit_archive": str(folder / NAME),
        "sennit_release_signers": keys,
    }
    verify = {"include_tasks": f"{COMMON}/tasks/verify.yml", "vars": given}
    refused = {"debug": {"msg": f"SAID {name}: {{{{ ansible_failed_result.msg }}}}"}}
    return {"block": [verify, {"debug": {"msg": f"VERIFIED {name}"}}], "rescue": [refused]}


def test_only_what_the_owner_signed_is_unpacked(tmp_path: Path, keys: dict[str, str]) -> None:
    tasks = []
    for number, (name, (change, trusted, _)) in enumerate(CASES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / NAME).write_bytes(b"the archive")
        done = _sign(folder, tmp_path / "owner")
        assert done.returncode == 0, done.stderr
        change(folder)
        tasks.append(_task(name, folder, [keys[key] for key in trusted]))
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play], width=10_000))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", tmp_path / "play.yml"],
        cwd=ROOT / "ansible",
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True,
        text=True,
    )
    for name, (_, _, words) in CASES.items():
        lines = done.stdout.splitlines()
        if words:
            said = next((line for line in lines if f"SAID {name}:" in line), "")
            assert words in said, (name, said or done.stdout[-6000:] + done.stderr)
        assert bool(words) != any(f"VERIFIED {name}" in line for line in lines), name


def test_the_role_verifies_before_it_copies() -> None:
    tasks = yaml.safe_load((COMMON / "tasks" / "release.yml").read_text())
    (unpack,) = (task["block"] for task in tasks if "block" in task)
    modules = [next(key for key in task if key.startswith("ansible.")) for task in unpack]
    verify = modules.index("ansible.builtin.include_tasks")
    assert unpack[verify]["ansible.builtin.include_tasks"] == "verify.yml"
    assert verify < modules.index("ansible.builtin.copy") < modules.index("ansible.builtin.command")


def test_every_file_of_a_release_is_in_the_list(tmp_path: Path, keys: dict[str, str]) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    for name in ("b.deb", "A.whl", "c.cdx.json"):
        (folder / name).write_text(name)
    assert _sign(folder, tmp_path / "owner").returncode == 0
    first = (folder / "SHA256SUMS").read_text()
    assert [line.split()[1] for line in first.splitlines()] == ["A.whl", "b.deb", "c.cdx.json"]
    assert _sign(folder, tmp_path / "owner").returncode == 0
    assert (folder / "SHA256SUMS").read_text() == first
    assert subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=folder).returncode == 0


def test_without_a_key_a_release_is_not_signed_and_that_is_said(tmp_path: Path, keys: dict[str, str]) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "file").write_text("")
    assert _sign(folder, tmp_path / "owner").returncode == 0
    done = _sign(folder, None)
    assert done.returncode == 0
    assert "not signed, and the playbooks refuse it" in done.stderr
    assert not (folder / "SHA256SUMS.sig").exists()


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "key", "ecdsa")
    (tmp_path / "release").mkdir()
    done = _sign(tmp_path / "release", tmp_path / "key")
    assert done.returncode == 1
    assert "no Ed25519 key" in done.stderr


def test_no_key_is_in_the_repository() -> None:
    begins = ["git", "grep", "-l", "-e", "BEGIN OPENSSH PRIVATE " + "KEY"]
    assert subprocess.run(begins, cwd=ROOT, capture_output=True, text=True).stdout == ""
