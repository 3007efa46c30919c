"""A root of Debian for arm64 by user emulation: unpacked and not configured, so that it is made in a minute."""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bare_root import BareRoot, RootFailed

ROOT = Path(__file__).parents[2]
FORMATS = Path("/proc/sys/fs/binfmt_misc")
NAME = "sennit-arm64"
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
EMULATOR = "/usr/bin/qemu-aarch64-static"
PACKAGES = "dash,coreutils,mount,util-linux,iproute2,procps,netbase,python3,linux-libc-dev"
TESTS_NEED = (
    *(
        "cffi",
        "cryptography",
        "hypothesis",
        "iniconfig",
        "packaging",
        "pluggy",
        "pycparser",
        "pygments",
        "pytest",
    ),
    *("pytest-asyncio", "pytest-timeout", "sortedcontainers", "typing-extensions"),
    *("attrs", "certifi", "dnspython", "h11", "h2", "hpack", "httpcore", "hyperframe"),
    *("pyasn1", "pyasn1-modules", "pyopenssl", "service-identity"),
)


@contextlib.contextmanager
def arm64_root(suite: str) -> Iterator[BareRoot]:
    """Make the root with a checkout in /root/sennit and the locked wheels in /root/site. Raises `RootFailed`."""
    with _emulated(), tempfile.TemporaryDirectory(prefix="sennit-arm64-") as made:
        folder = Path(made) / "root"
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            "--architectures=arm64",
            f"--include={PACKAGES}",
        ]
        done = subprocess.run([*command, suite, folder], capture_output=True, text=True)
        if done.returncode:
            raise RootFailed(f"no root of {suite} for arm64: {done.stderr.strip()[-1000:]}")
        for name in ("proc", "sys", "run", "mnt", "root", "dev", "tmp"):
            (folder / name).mkdir(exist_ok=True)
        for name in ("bin", "sbin", "lib"):
            if not (folder / name).exists():
                (folder / name).symlink_to(f"usr/{name}")
        subprocess.run(["git", "clone", "-q", ROOT, folder / "root" / "sennit"], check=True)
        _install_wheels(folder)
        with BareRoot(folder) as root:
            yield root


def _install_wheels(folder: Path) -> None:
    """Install on this machine what pip would choose on the other: wheels alone, with the lock's hashes."""
    version = next((folder / "usr" / "bin").glob("python3.*")).name.removeprefix("python")
    lock = (ROOT / "requirements.lock").read_text()
    needed = folder / "root" / "needed.lock"
    needed.write_text(
        "".join(re.findall(rf"^(?:{'|'.join(TESTS_NEED)})==.*\n(?:    --hash.*\n?)+", lock, re.MULTILINE))
    )
    subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
            ),
            *("--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={version}"),
            *("--abi=abi3", "--abi=none", f"--abi=cp{version.replace('.', '')}"),
            *(f"--platform=manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_28", "_2_34")),
            *("--platform=any", "--target", str(folder / "root" / "site"), "-r", str(needed)),
        ],
        check=True,
    )


@contextlib.contextmanager
def _emulated() -> Iterator[None]:
    """Let the kernel start programs for arm64 by the emulator, unless it does already."""
    mounted = not (FORMATS / "register").exists()
    if mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", FORMATS], check=True)
    try:
        if any(
            "aarch64" in file.read_text()
            for file in FORMATS.iterdir()
            if file.name not in ("register", "status")
        ):
            yield
            return
        if shutil.which(EMULATOR) is None:
            raise RootFailed("no qemu-aarch64-static: apt-get install qemu-user-static")
        (FORMATS / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{EMULATOR}:OCF")
        try:
            yield
        finally:
            (FORMATS / NAME).write_text("-1")
    finally:
        if mounted:
            subprocess.run(["umount", FORMATS], check=True)
