"""Links of the namespace lab made slow, while it runs: no interface is replaced, no connection breaks.

With netem a queueing discipline at each end. Without it, what an interface sends is redirected to a TAP device, which
the emulator reads; what it writes to the other end's TAP device enters as if it had come by that end's own interface.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

from lab.emulation import netem
from lab.emulation.calibration import Calibration, calibrate_delay
from lab.emulation.impairment import Impairment
from lab.emulation.relay import Settings
from lab.emulation.rtt import measure
from lab.errors import LabFailed
from lab.namespace.daemons import run, spawn_daemon
from lab.namespace.place import LabFolder
from lab.topology import End, LabLink, Topology
from lab.wait import wait_for

EVERYTHING = "protocol all pref 1 u32 match u32 0 0 action mirred"


class SlowLink:
    """One link of a lab that stands. Methods raise `LabFailed`."""

    def __init__(
        self, place: LabFolder, topology: Topology, link: LabLink, *, own_emulator: bool = False
    ) -> None:
        """With `own_emulator`, which alone can `tamper`, also where the kernel has netem."""
        self._place = place
        self._topology = topology
        self._link = link
        self._own = own_emulator
        folder = place.folder / "links"
        folder.mkdir(exist_ok=True)
        self._settings = folder / f"{link.name}.relay"
        self._pid = folder / f"{link.name}.pid"
        self._tampered = folder / f"{link.name}.tampered"

    def set(self, impairment: Impairment) -> Calibration:
        """Make the link be like this in each direction."""
        if not impairment.delay and impairment.rate is None:
            raise LabFailed("neither a delay nor a rate: `--clear` takes both away")
        apply = self._apply_relay if self._own or not self.kernel_has_netem() else self._apply_netem
        left, right = self._ends
        return calibrate_delay(
            apply,
            lambda: measure(self._place.namespace_file(left.node), left.interface, str(right.address.ip)),
            impairment,
        )

    def tamper(self, after: int) -> None:
        """Once `after` more bytes of TCP payload have come from the right end, flip one, and mend the checksum."""
        self._tampered.unlink(missing_ok=True)
        self._write_settings(
            replace(Settings.read(self._settings), tamper_after=after, tampered=str(self._tampered))
        )

    def tampered_at(self) -> float | None:
        """When (monotonic) a byte was flipped; None while none was. Nothing is flipped from now on."""
        self._write_settings(replace(Settings.read(self._settings), tamper_after=None))
        return float(self._tampered.read_text()) if self._tampered.exists() else None

    def clear(self) -> None:
        """Make the link a plain cable again; harmless when it is one."""
        for end in self._ends:
            command = [*self._place.enter(end.node), "tc", *netem.clear_words(end.interface)]
            subprocess.run(command, capture_output=True)
            if self._pid.exists():
                run(self._place, end.node, "tc", *f"filter del dev {end.interface} egress pref 1".split())
        if self._pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self._pid.read_text()), signal.SIGTERM)
            self._pid.unlink()
            wait_for("the emulator's end", lambda: not any(map(self._has_tap, self._ends)), 10)

    @property
    def _ends(self) -> tuple[End, End]:
        return self._link.left, self._link.right

    def _has_tap(self, end: End) -> bool:
        command = [*self._place.enter(end.node), "ip", "link", "show", _tap_name(end)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def kernel_has_netem(self) -> bool:
        """Ask by trying, on an interface where it makes no difference."""
        enter = self._place.enter(self._link.left.node)
        probe = subprocess.run(
            [*enter, "tc", *netem.netem_arguments("lo", Impairment())], capture_output=True
        )
        if probe.returncode == 0:
            subprocess.run([*enter, "tc", *netem.clear_words("lo")], check=True)
        return probe.returncode == 0

    def _apply_netem(self, impairment: Impairment) -> None:
        for end in self._ends:
            run(self._place, end.node, "tc", *netem.netem_arguments(end.interface, impairment))

    # --- without netem

    def _apply_relay(self, impairment: Impairment) -> None:
        self._write_settings(Settings(impairment))

    def _write_settings(self, settings: Settings) -> None:
        settings.write(self._settings)
        if self._pid.exists():
            os.kill(int(self._pid.read_text()), signal.SIGHUP)
        else:
            self._start_relay()

    def _start_relay(self) -> None:
        ends = self._ends
        for end in ends:
            if self._topology.node(end.node).edge_id is not None:
                raise LabFailed(
                    f"{self._link.name}: this kernel has no netem, and the lab's own emulator cannot sit on an edge's"
                    " link, where the forwarder does: slow down another link"
                )
        words = [
            word
            for end in ends
            for word in ("--end", str(self._place.namespace_file(end.node)), _tap_name(end))
        ]
        log = self._place.log(ends[0].node, f"link-{self._link.name}")
        log.unlink(missing_ok=True)
        process = spawn_daemon(
            self._place,
            ends[0].node,
            f"link-{self._link.name}",
            *(sys.executable, "-m", "lab.emulation.relay", *words, "--settings", str(self._settings)),
        )
        wait_for("the emulator's start", lambda: "ready" in log.read_text(), 10, log)
        self._pid.write_text(str(process.pid))
        for end in ends:
            self._redirect(end)

    def _redirect(self, end: End) -> None:
        tap = _tap_name(end)

        def do(words: str) -> None:
            run(self._place, end.node, *words.split())

        mac = json.loads(run(self._place, end.node, "ip", "-j", "link", "show", end.interface))[0]["address"]
        # the same address, so that what enters is taken for the host's; none of the device's own packets
        do(f"ip link set {tap} address {mac} addrgenmode none arp off txqueuelen 4000")
        do(f"ip link set {tap} up")
        do(f"tc qdisc add dev {tap} clsact")
        do(f"tc filter add dev {tap} ingress {EVERYTHING} ingress redirect dev {end.interface}")
        clsact = [*self._place.enter(end.node), *f"tc qdisc add dev {end.interface} clsact".split()]
        subprocess.run(clsact, capture_output=True)  # there already, if it was slow before
        do(f"tc filter add dev {end.interface} egress {EVERYTHING} egress redirect dev {tap}")


def _tap_name(end: End) -> str:
    return f"slow-{end.interface}"
