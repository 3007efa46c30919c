"""Boot a distribution's kernel under qemu (any processor: tcg), with this checkout and its tests as user space.

The user space is Debian 12's Python and bcc in an initramfs, whichever kernel it is: no disk, no systemd, no network
but the devices that a test adds. It runs one command, whose output and status come over the serial line.
"""

import contextlib
import importlib.metadata
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from compiled_object import compiled_object
from initramfs import write_initramfs

ROOT = Path(__file__).parents[2]
PACKAGES = ("python3", "python3-bpfcc", "linux-libc-dev", "libbpf1", "iproute2", "kmod")
TESTS_NEED = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "pyroute2", "cryptography")
CHECKOUT = ("runtime", "node", "services", "smkex", "balancer", "tests", "tools", "pyproject.toml")
KERNEL = "linux-image-cloud-amd64"
END = re.compile(r"^the command ended with (\d+)\s*$", re.MULTILINE)
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
cd /checkout
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONPATH=/checkout:/python
export EXPECT_ALL_CAPABILITIES=1 SENNIT_TEST_OBJECT=/object.o
{command}
echo "the command ended with $?"
sync
echo b >/proc/sysrq-trigger
"""


class DistributionKernel:
    """The kernel of a Debian suite; its files are below `folder`."""

    def __init__(self, suite: str, folder: Path) -> None:
        self._folder = folder
        _run("mmdebstrap", "--quiet", "--variant=extract", f"--include={KERNEL}", suite, str(folder))
        (self._image,) = (folder / "boot").glob("vmlinuz-*")
        self.release = self._image.name.removeprefix("vmlinuz-")

    def run(self, user_space: Path, command: str, timeout: float) -> tuple[int, str]:
        """Boot, run a shell command in the checkout; return its status and the console's text."""
        with (
            tempfile.NamedTemporaryFile() as console,
            self.boot(user_space, command, Path(console.name)) as machine,
        ):
            machine.wait(timeout)
            return read_status(Path(console.name))

    @contextlib.contextmanager
    def boot(
        self,
        user_space: Path,
        command: str,
        console: Path,
        devices: Sequence[str] = (),
        descriptors: Sequence[int] = (),
        processors: int = 1,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a machine that runs a shell command in the checkout, and kill it at the end.

        `devices` are more options of qemu, which inherits `descriptors`.
        """
        (user_space / "init").write_text(INIT.format(command=command))
        (user_space / "init").chmod(0o755)
        modules = user_space / "lib" / "modules" / self.release
        if not modules.exists():
            shutil.copytree(next(self._folder.glob("**/lib/modules")) / self.release, modules, symlinks=True)
            _run("chroot", str(user_space), "depmod", self.release)
        with tempfile.NamedTemporaryFile(suffix=".cpio") as initramfs, console.open("wb") as output:
            write_initramfs(user_space, initramfs)  # type: ignore[arg-type]
            initramfs.flush()
            shutil.rmtree(modules)
            # one thread for all processors: with one for each, a processor of 6.12 ran code that another was patching,
            # and met the breakpoint of an unfinished patch
            machine = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),  # it must not outlive who started it
                    *("qemu-system-x86_64", "-accel", "tcg,thread=single", "-machine", "q35", "-cpu", "max"),
                    *("-smp", str(processors), "-m", "3072", "-display", "none", "-nodefaults", "-no-reboot"),
                    *("-serial", "stdio", "-kernel", str(self._image), "-initrd", initramfs.name),
                    *("-append", "console=ttyS0 quiet mitigations=off panic=-1 oops=panic"),
                    *devices,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=descriptors,
            )
            try:
                yield machine
            finally:
                machine.kill()
                machine.wait()


def read_status(console: Path) -> tuple[int, str]:
    """Return the status of the command of a machine that has ended, and the console's text."""
    text = console.read_text(errors="replace")
    ended = END.search(text)
    assert ended is not None, f"the machine ended early: {text[-4000:]}"
    return int(ended[1]), text


def make_user_space(folder: Path, packages: Sequence[str] = PACKAGES) -> None:
    """Make the root that kernels boot: Debian 12, what the tests of the datapath need, the checkout, the object."""
    included = f"--include={','.join(packages)}"
    dropped = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")]
    _run("mmdebstrap", "--quiet", "--variant=minbase", included, *dropped, "bookworm", str(folder))
    copy_checkout(folder)


def copy_checkout(folder: Path) -> None:
    """Copy what the tests need of Python, the checkout, and the object into a root."""
    _copy_distributions(TESTS_NEED, folder / "python")
    for name in CHECKOUT:
        source, copy = ROOT / name, folder / "checkout" / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(source, copy)
    shutil.copy(compiled_object(), folder / "object.o")


def _copy_distributions(names: Sequence[str], folder: Path) -> None:
    """Copy installed distributions and what they require."""
    for distribution in _with_requirements(names):
        for file in distribution.files or ():
            if not file.parts[0].startswith("..") and "__pycache__" not in file.parts:
                copy = folder / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), copy)


def _with_requirements(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.split(r"[ ;<>=!~\[(]", waiting.pop())[0].lower().replace("_", "-")
        if name not in found:
            try:
                found[name] = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another Python or platform
            waiting += [each for each in found[name].requires or () if "extra ==" not in each]
    return list(found.values())


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]}: {done.stderr.strip()}"
