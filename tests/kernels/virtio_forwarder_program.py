"""Forwarder of edge 2 between two interfaces of virtio_net; a host loads it and reads counters over a serial line.

A line of the host is `load MODE` (of `load --xdp`) or `read`; the answer is a line of JSON.
"""

import json
import re
import subprocess
import time
import tty
from pathlib import Path
from typing import Any, BinaryIO

from signed_table import write_signed_table

from balancer.datapath.load.fast_path import Xdp
from balancer.datapath.load.load import Interfaces, load
from balancer.datapath.load.loaded import ProgramForm
from balancer.datapath.load.xdp import attached_xdp
from balancer.datapath.maps.counters import read_counters, read_xdp_counters
from balancer.model.table import ForwardingTable, TableEdge
from node.state.identity import NodeIdentity, write_identity
from node.vip import Vip

LINE = Path("/dev/ttyS1")
OBJECT = Path("/object.o")
STATE, BPFFS = Path("/tmp/state"), Path("/sys/fs/bpf")
VIP = Vip("main", "203.0.113.1", None)
EDGES = tuple(TableEdge(number, f"edge{number}", f"10.255.0.{number}", None) for number in (1, 2))
HARDWARE = {"02:00:00:00:00:01": "up0", "02:00:00:00:02:02": "bb0"}
OWNER_HARDWARE = "02:00:00:00:01:02"
QUEUE = re.compile(r"^\s*rx(?:_queue_)?(\d+)_(\w+): (\d+)$", re.MULTILINE)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def prepare_host() -> None:
    for module in ("virtio_pci", "virtio_net"):
        run("modprobe", module)
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")  # no packets of its own
    deadline = time.monotonic() + 60
    while (
        len(found := [link for link in json.loads(run("ip", "-j", "link")) if link["address"] in HARDWARE])
        < 2
    ):
        assert time.monotonic() < deadline, "the interfaces did not appear"
        time.sleep(0.1)
    for link in found:
        run("ip", "link", "set", link["ifname"], "name", HARDWARE[link["address"]])
        run("ip", "link", "set", HARDWARE[link["address"]], "up")
    run("ip", "address", "add", "10.2.0.1/24", "dev", "up0")
    run("ip", "address", "add", "10.255.0.2/24", "dev", "bb0")
    run("ip", "address", "add", f"{VIP.v4}/32", "dev", "lo")
    run("ip", "route", "add", "default", "via", "10.2.0.2", "dev", "up0")
    run(
        "ip",
        "neighbour",
        "add",
        EDGES[0].tunnel_v4 or "",
        "lladdr",
        OWNER_HARDWARE,
        "dev",
        "bb0",
        "nud",
        "permanent",
    )
    STATE.mkdir()
    write_identity(STATE, NodeIdentity(2, "edge2", VIP))
    write_signed_table(STATE, ForwardingTable(1, (VIP,), EDGES))


def load_forwarder(mode: str) -> dict[str, Any]:
    began = time.monotonic()
    interfaces = Interfaces(("up0",), "bb0")
    done = load(STATE, BPFFS, interfaces, 10, xdp=Xdp(mode), form=ProgramForm.OBJECT, given=OBJECT)
    return {"no_xdp": done.no_xdp, "programs": attached_xdp(BPFFS), "seconds": time.monotonic() - began}


def read_figures() -> dict[str, Any]:
    """Packets by reason, all and those of XDP; receive interrupts and the driver's figures of each queue of up0."""
    return {
        "counted": {reason.name: value[0] for reason, value in read_counters(BPFFS).items() if value[0]},
        "by_xdp": {reason.name: value[0] for reason, value in read_xdp_counters(BPFFS).items() if value[0]},
        "queues": {
            f"{queue} {name}": int(n) for queue, name, n in QUEUE.findall(run("ethtool", "-S", "up0"))
        },
        "interrupts": read_interrupts(),
    }


def read_interrupts() -> list[int]:
    """Receive interrupts of each queue of up0."""
    device = Path("/sys/class/net/up0/device").resolve().name
    rows = [line.split() for line in Path("/proc/interrupts").read_text().splitlines()]
    found = {row[-1]: sum(map(int, filter(str.isdigit, row[1:3]))) for row in rows}
    return [found[name] for name in sorted(found) if name.startswith(f"{device}-input")]


def answer(line: BinaryIO, content: dict[str, Any]) -> None:
    line.write(json.dumps(content).encode() + b"\n")


def main() -> None:
    with LINE.open("r+b", buffering=0) as line:
        tty.setraw(line)
        prepare_host()
        answer(line, {"kernel": run("uname", "-r").strip(), "channels": run("ethtool", "-l", "up0")})
        while command := line.readline().decode().split():
            if command[0] == "load":
                answer(line, load_forwarder(command[1]))
            elif command[0] == "read":
                answer(line, read_figures())
            else:
                break


if __name__ == "__main__":
    main()
