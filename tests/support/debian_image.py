"""Bake images of Debian for machines, and releases for it: Debian 12, or the suite that SENNIT_TEST_SUITE names.

`disk` is for machines under qemu: the distribution's own kernel, what Debian's installer leaves on a server (systemd,
ssh, Python), and the package files that the roles will ask for, so that machines need no network to install them.
`root` is a folder for containers: no kernel, and those packages installed. Images are kept in the user's cache and
baked again when anything that they are made of changes.
"""

import fcntl
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from release_key import signing_environment
from release_root import build_in_root

from lab.topology import LAB, Topology

ROOT = Path(__file__).parents[2]
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
SUITE = os.environ.get("SENNIT_TEST_SUITE", "bookworm")
DISTRIBUTION = SUITES[SUITE]
SYSTEM = (
    *("systemd-sysv", "dbus", "udev", "openssh-server"),
    *("python3", "python3-apt", "iproute2", "ca-certificates", "kmod", "procps"),
)
KERNEL = ("linux-image-cloud-amd64", "initramfs-tools")
SIZE = "6G"  # sparse
KEEP = 86_400  # seconds
MANAGEMENT = "52:54:00:aa:00:01"
# mitigations cost much where a processor is emulated, and nothing here depends on them
KERNEL_SETTINGS = "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 mitigations=off"


@dataclass(frozen=True, slots=True)
class Image:
    """A baked folder: the key that root's ssh takes, and either disk.raw, vmlinuz and initrd or the folder root."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.raw"

    @property
    def ssh_key(self) -> Path:
        return self.folder / "key"


def role_packages() -> list[str]:
    """Return every Debian package that a role of ansible/ names in its defaults."""
    packages: set[str] = set()
    for defaults in sorted((ROOT / "ansible" / "roles").glob("*/defaults/main.yml")):
        for name, value in (yaml.safe_load(defaults.read_text()) or {}).items():
            if name.endswith("_packages"):
                packages |= set(value)
    return sorted(packages)


def mac(edge_id: int, interface: str) -> str:
    """The address of an edge's interface: by it the machine knows which it is."""
    return f"52:54:00:{'0a' if interface == 'up0' else '0b'}:00:{edge_id:02x}"


def bake(kind: str) -> Image:
    """Return the image of a kind, `disk` or `root`; a minute when it is not in the cache."""
    made = [inspect.getsource(step) for step in (_bake, _root, _disk)]
    content = [kind, SUITE, SYSTEM, KERNEL, role_packages(), _network_files(LAB), made]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sennit"
    cache.mkdir(parents=True, exist_ok=True)
    image = Image(cache / f"debian-{SUITE}-{kind}-{digest}")
    with (cache / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.folder.exists():
            for older in cache.glob(f"debian-{SUITE}-{kind}-*"):
                if older.stat().st_mtime < time.time() - KEEP:  # a younger one may be in use
                    shutil.rmtree(older)
            with tempfile.TemporaryDirectory(dir=cache, prefix="baking-") as folder:
                _bake(Path(folder), kind)
                (Path(folder) / "image").rename(image.folder)
    return image


def _bake(work: Path, kind: str) -> None:
    made = work / "image"
    made.mkdir()
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made / "key"))
    if kind == "root":
        _root(made / "root", made, "")
        units = made / "root" / "etc" / "systemd" / "system"
        keeps_time = units / "systemd-timesyncd.service.d"  # as on a machine of its own
        keeps_time.mkdir()
        (keeps_time / "container.conf").write_text("[Unit]\nConditionVirtualization=\n")
        # it would note each boot in the audit log, which is the host's; once it failed
        (units / "systemd-update-utmp.service").symlink_to("/dev/null")
    else:
        _root(work / "root", made, "--download-only", *KERNEL)
        _disk(work / "root", made)


def _root(root: Path, made: Path, how: str, *more: str) -> None:
    # policy-rc.d: nothing starts while it is baked
    install = f"chroot $1 env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends {how}"
    _run(
        *("mmdebstrap", "--quiet", "--variant=minbase", "--skip=cleanup/apt"),
        f"--include={','.join((*SYSTEM, *more))}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")),
        f"--customize-hook={install} install {' '.join(role_packages())} >/dev/null",
        *(SUITE, str(root)),
    )
    ssh = root / "root" / ".ssh"
    ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(made / "key.pub", ssh / "authorized_keys")
    (root / "etc" / "hostname").unlink(missing_ok=True)  # who starts it says it


def _disk(root: Path, made: Path) -> None:
    (root / "etc" / "fstab").write_text("/dev/vda / ext4 defaults,noatime 0 1\n")
    for name, text in _network_files(LAB).items():
        (root / "etc" / "systemd" / "network" / name).write_text(text)
    _run("chroot", str(root), "systemctl", "--quiet", "enable", "systemd-networkd")
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        shutil.copy(next((root / "boot").glob(pattern)), made / name)
    _run("truncate", "-s", SIZE, str(made / "disk.raw"))
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(root), str(made / "disk.raw"))


def _network_files(topology: Topology) -> dict[str, str]:
    """What a provider's installer would have written: names and addresses of the interfaces."""
    files = {"10-management.network": f"[Match]\nMACAddress={MANAGEMENT}\n\n[Network]\nDHCP=ipv4\n"}
    for edge in topology.edges():
        assert edge.edge_id is not None
        gateways = {route.interface: gateway for route, gateway in topology.gateways(edge.name)}
        for end in topology.interfaces(edge.name):
            name = f"20-{edge.name}-{end.interface}"
            address = mac(edge.edge_id, end.interface)
            files[f"{name}.link"] = f"[Match]\nMACAddress={address}\n\n[Link]\nName={end.interface}\n"
            files[f"{name}.network"] = (
                f"[Match]\nMACAddress={address}\n\n[Network]\nAddress={end.address}\n"
                + (f"Gateway={gateways[end.interface]}\n" if end.interface in gateways else "")
            )
    return files


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")


def release(*name: str) -> Path:
    """Build the archive that hosts install from, as version `name` where that is given, and sign it.

    A release is for the distribution that built it: where this machine has another, a bare root builds it, from what is
    committed.
    """
    packaging = ROOT / "packaging"
    if f"VERSION_CODENAME={SUITE}\n" in Path("/etc/os-release").read_text():
        done = subprocess.run(
            [packaging / "build-archive", *name], cwd=ROOT, check=True, capture_output=True, text=True
        )
        archive = ROOT / done.stdout.strip().splitlines()[-1]
    else:
        archive = build_in_root(SUITE, *name)
    subprocess.run([packaging / "sign-release", archive.parent], env=signing_environment(), check=True)
    return archive
