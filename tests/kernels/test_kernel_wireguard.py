"""The kernel's WireGuard, in Debian's own kernel under qemu: what is written is what `wg` shows, and what is read."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from debian_image import KERNEL_SETTINGS, ROOT, bake
from relay_process import poll_until

pytestmark = [pytest.mark.needs("root", "qemu"), pytest.mark.timeout(900)]

PROGRAM = Path(__file__).with_name("kernel_device_program.py")
LIMIT = 400  # seconds: an emulated processor, perhaps on a busy machine
# the shell is the machine's first process: without systemd it is up sooner
SCRIPT = """\
mount -o remount,rw /; ip link set lo up
dpkg -i --force-depends /var/cache/apt/archives/wireguard-tools_*.deb >/dev/null 2>&1
cd /mnt && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/mnt python3 program.py >/tmp/found 2>&1; base64 -w 0 /tmp/found
echo; echo o >/proc/sysrq-trigger
"""


def run_in_debian_kernel(folder: Path) -> dict[str, Any]:
    """Run the program in a machine that has only a disk of ours besides Debian's; return what it printed."""
    image = bake("disk")
    content = folder / "content"
    content.mkdir()
    tar = ["tar", "-c", "--exclude=*.so", "--exclude=__pycache__", "smkex", "relay"]
    packed = subprocess.run(tar, cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", content], input=packed, check=True)
    (content / "program.py").write_bytes(PROGRAM.read_bytes())
    (content / "run").write_text(SCRIPT)
    disk = folder / "content.raw"
    subprocess.run(["truncate", "-s", "64M", disk], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", content, disk], check=True)
    command = [
        *("qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", "512"),
        *("-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(image.folder / "vmlinuz"), "-initrd", str(image.folder / "initrd")),
        *("-append", f"{KERNEL_SETTINGS} init=/bin/sh"),
        *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"),
        *("-drive", f"file={disk},format=raw,if=virtio,readonly=on"),
    ]
    console = folder / "console"
    with (
        console.open("w") as output,
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.PIPE, stdout=output, text=True
        ) as machine,
    ):
        try:
            assert machine.stdin is not None
            # what comes before the shell asks is lost
            poll_until(
                lambda: console.read_text(errors="replace").rstrip().endswith("#"),
                console.read_text,
                timeout=LIMIT,
            )
            machine.stdin.write("mount -t ext4 -o ro /dev/vdb /mnt; . /mnt/run\n")
            machine.stdin.flush()
            machine.wait(LIMIT)
        finally:
            machine.kill()
    said = console.read_text(errors="replace")
    printed = [line for line in said.splitlines() if len(line) > 1000]
    assert printed, said[-3000:]
    text = base64.b64decode(printed[-1].rsplit(" ", 1)[-1]).decode()
    assert text.startswith("{"), text
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_interface_of_the_kernel_is_configured_and_read_as_wg_shows_it(tmp_path: Path) -> None:
    found = run_in_debian_kernel(tmp_path)
    assert "No such device" in found["missing"] or "No such file" in found["missing"]
    assert found["fresh"]
    interface, *peers = found["wg"]
    assert base64.b64decode(interface[1]).hex() == found["public"]
    assert found["port"] == int(interface[2]) == 51999
    said = sorted(
        [base64.b64decode(row[0]).hex(), row[2], sorted(row[3].split(",")), int(row[4])] for row in peers
    )
    assert said == found["read"]
    assert len(said) == 150
    assert [row[7] for row in peers].count("25") == 4
    assert {row[2] for row in peers} == {"(none)", "198.51.100.7:51820", "[2001:db8::7]:51821"}
    assert found["kept"]
    assert found["left"] == 140
    assert found["moved"] == ["10.99.0.0/24"]
