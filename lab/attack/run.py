"""Run attacks in the namespace lab and say what came of each."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.attack.attacker import ABSENT, ACTED
from lab.attack.cells import Attack, AttackOutcome, Powers, Row
from lab.attack.impersonation import FORGED
from lab.attack.interception import PORT, RESOLVER_PORT, intercept_connections, names_forged
from lab.errors import LabFailed
from lab.fleet import CERTIFICATE, fleet_fingerprint, published_name_key
from lab.namespace.running import NamespaceLab
from lab.sample import SAMPLE
from lab.secrets import SERVICE, make_certificates
from lab.topology import SERVICE_NAME, VIP
from lab.wait import scale_limit, wait_for
from node.state.catalogue import EDGE_SOCKET
from smkex.client.known_hosts import KnownHost, KnownHosts

FORGED_VIP = "203.0.113.66"
TLS_PORT = 4443
HANDSHAKE_TIMEOUT = "2"
TRIES = 30
SNAPSHOT = 32  # bytes of the file that a recording is searched for, at many places


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attack: at the client its error, at the edges the errors they counted."""

    mode: str
    attack: str
    powers: str
    outcome: str
    client: str
    edges: str
    expected: str
    ok: bool


class AttackRunner:
    """The lab, its two carriers, and what a download must give."""

    def __init__(self, lab: NamespaceLab) -> None:
        self.lab = lab
        self.carriers = tuple(other.node for _, other, _ in lab.topology.ends("phone"))
        self._authority = lab.place.node("control")
        self.sample = (lab.place.node("origin") / SAMPLE).read_bytes()

    def attack(self, row: Row, attack: Attack) -> Result:
        """Put the attackers in their places, download, and judge. Raises `LabFailed` where they take no part."""
        for _ in range(TRIES):
            if (result := self._attempt(row, attack)) is not None:
                return result
        raise LabFailed(f"an attacker had no port to dial from, in {TRIES} downloads")

    def _attempt(self, row: Row, attack: Attack) -> Result | None:
        """None where the phone dialled from a port that its attacker's kernel still keeps from before."""
        before = self._failures()
        with tempfile.TemporaryDirectory(prefix="sennit-attack") as folder, contextlib.ExitStack() as stack:
            recordings = [
                stack.enter_context(self._recording(carrier, Path(folder)))
                for carrier in (self.carriers if attack.powers is Powers.PASSIVE else ())
            ]
            # an authority of the attackers' own, for a certificate in the service's name
            make_certificates(Path(folder) / "rogue", service=(SERVICE_NAME, VIP, FORGED_VIP))
            for path, strategy in enumerate((attack.first, attack.second)):
                if path in attack.names_forged:
                    stack.enter_context(self._forged_name(path, Path(folder)))
                if strategy is not None and attack.on_the_side:
                    stack.enter_context(self._on_the_side(path, strategy, Path(folder)))
                elif strategy is not None and attack.powers is not Powers.PASSIVE:
                    stack.enter_context(self._attacker(path, strategy, attack, Path(folder)))
            options = self._client_options(row, Path(folder))
            if attack.on_records or attack.on_the_side:
                spread = ("--scheduler", "aggregate") if attack.on_records else ()
                done = self._download_until_acted((*options, *spread), Path(folder) / "attacker0.log")
            else:
                done = self._download(options, attack.host)
            if any(ABSENT in log.read_text() for log in Path(folder).glob("attacker*.log")):
                return None
            outcome, error = self._classify_outcome(done)
            stack.close()
            if recordings and outcome is AttackOutcome.SAFE:
                self._search(recordings)
                self._search_name(recordings[0], sealed=row is Row.KEY_KNOWN)
        edges = self._failures()
        grown = sorted(name for name in edges if edges[name] > before.get(name, 0))
        ok = outcome is attack.expected and (not attack.errors or error in attack.errors)
        ok = ok or (attack.on_the_side and outcome is AttackOutcome.SAFE)
        wanted = f"{attack.expected}{': ' if attack.errors else ''}{' or '.join(attack.errors)}"
        return Result(row, attack.name, attack.powers, outcome, error, ", ".join(grown), wanted, ok)

    def _client_options(self, row: Row, folder: Path) -> tuple[str, ...]:
        if row is Row.OPPORTUNISTIC:
            return ("--mode", "opportunistic")
        if row in (Row.AUTHENTIC, Row.FORGED):
            trusted = (self._authority / "ca.pem").read_text()
            if row is Row.FORGED:
                trusted += (folder / "rogue" / "ca.pem").read_text()
            (folder / "trusted.pem").write_text(trusted)
            return ("--mode", "mtls", "--ca", str(folder / "trusted.pem"))
        known = KnownHosts(folder / "known_hosts")
        if row is Row.KEY_KNOWN:
            control = self.lab.place.node("control")
            key = fleet_fingerprint(control)
            known.remember(KnownHost(SERVICE_NAME, key, name_key=published_name_key(control)))
        return ("--mode", "tofu", "--known-hosts", str(known.path))

    def _download_until_acted(
        self, options: tuple[str, ...], log: Path
    ) -> subprocess.CompletedProcess[bytes]:
        """Download until path 0 has carried enough for the attacker, or a spoofed packet won its race."""
        for _ in range(TRIES):
            done = self._download(options)
            if ACTED in log.read_text():
                return done
        raise LabFailed(f"the attacker on path 0 found nothing to change, or was late, in {TRIES} downloads")

    def _download(
        self, options: tuple[str, ...], host: str = SERVICE_NAME
    ) -> subprocess.CompletedProcess[bytes]:
        url = f"smkex://{host}/{SAMPLE}"
        command = ("sennit", "get", url, "--timeout", HANDSHAKE_TIMEOUT, "--json", *options)
        return subprocess.run(
            self.lab.command("phone", *command), capture_output=True, timeout=scale_limit(60)
        )

    def downloads_sample(self) -> bool:
        """Whether the phone gets the right file."""
        done = self._download(("--mode", "opportunistic"))
        return done.returncode == 0 and done.stdout == self.sample

    def _classify_outcome(self, done: subprocess.CompletedProcess[bytes]) -> tuple[AttackOutcome, str]:
        said = done.stderr.decode()
        if done.returncode == 0 and done.stdout == self.sample:
            return AttackOutcome.SAFE, ""
        if done.returncode == 0 and done.stdout == FORGED:
            return AttackOutcome.NOT_DETECTED, ""
        if done.returncode == 3 and not done.stdout:
            return AttackOutcome.DETECTED, said.removeprefix("error: ").partition(":")[0]
        raise LabFailed(
            f"a download ended with {done.returncode} and {len(done.stdout)} bytes: {said.strip()}"
        )

    def _failures(self) -> dict[str, int]:
        """Handshakes that ended in an error, at all edges, by the name of the error."""
        total: dict[str, int] = {}
        for edge in self.lab.topology.edges():
            socket = EDGE_SOCKET.path_in(self.lab.place.node(edge.name))
            command = ("curl", "-sS", "--unix-socket", str(socket), "http://edge/health")
            answer = subprocess.run(command, capture_output=True, check=True).stdout
            for name, count in json.loads(answer)["failures"].items():
                total[name] = total.get(name, 0) + count
        return total

    @contextlib.contextmanager
    def _attacker(self, path: int, strategy: str, attack: Attack, folder: Path) -> Iterator[None]:
        talk = ("--talk", str(folder / "talk")) if attack.talk else ()
        command = (sys.executable, "-m", "lab.attack.attacker", strategy, "--path", str(path), *talk)
        rogue = folder / "rogue" / SERVICE
        command += ("--tls-certificate", f"{rogue}.pem", "--tls-key", f"{rogue}.key", "--host", SERVICE_NAME)
        command += ("--genuine-authority", str(self._authority / "ca.pem"))
        if attack.genuine_certificate:
            edge = self.lab.topology.nearest_edge(self.carriers[0])
            command += ("--certificate", str(self.lab.place.node(edge.name) / CERTIFICATE))
        addresses = (VIP, FORGED_VIP) if attack.names_forged else (VIP,)
        with (
            self.daemon(self.carriers[path], folder / f"attacker{path}.log", *command),
            intercept_connections(self.lab, self.carriers[path], addresses=addresses),
        ):
            yield

    @contextlib.contextmanager
    def _on_the_side(self, path: int, spoof: str, folder: Path) -> Iterator[None]:
        command = (sys.executable, "-m", "lab.attack.on_the_side", spoof, "--interface", "phone")
        with self.daemon(self.carriers[path], folder / f"attacker{path}.log", *command):
            yield

    @contextlib.contextmanager
    def _forged_name(self, path: int, folder: Path) -> Iterator[None]:
        resolver = (
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"),
            *("--bind-interfaces", "--user=", "--pid-file=", f"--port={RESOLVER_PORT}"),
            *(f"--address=/{SERVICE_NAME}/{FORGED_VIP}", "--log-facility=-"),
        )
        carrier = self.carriers[path]
        log = folder / f"names{path}.log"
        with self.daemon(carrier, log, *resolver, ready="started"), names_forged(self.lab, carrier):
            yield

    @contextlib.contextmanager
    def _recording(self, carrier: str, folder: Path) -> Iterator[Path]:
        capture = folder / f"{carrier}.pcap"
        command = (
            "tcpdump",
            "-i",
            "phone",
            "--immediate-mode",
            "-U",
            "-B",
            "65536",
            "-w",
            str(capture),
            "-Z",
            "root",
        )
        with self.daemon(carrier, folder / f"{carrier}.log", *command, "tcp", ready="listening"):
            yield capture

    @contextlib.contextmanager
    def daemon(self, carrier: str, log: Path, *command: str, ready: str = "ready") -> Iterator[None]:
        with log.open("w") as output:
            process = subprocess.Popen(
                self.lab.command(carrier, *command), stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_for(f"{command[0]} on {carrier}", lambda: ready in log.read_text(), 20, log)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def _search(self, recordings: list[Path]) -> None:
        """What was recorded must be the exchange, with nothing of the file."""
        for recording in recordings:
            data = recording.read_bytes()
            if len(data) < 200:
                raise LabFailed(f"nothing was recorded in {recording.name}: this shows nothing")
            for at in range(0, len(self.sample) - SNAPSHOT, len(self.sample) // 64):
                if self.sample[at : at + SNAPSHOT] in data:
                    raise LabFailed(f"{recording.name} holds the file in clear")

    def _search_name(self, recording: Path, *, sealed: bool) -> None:
        """What path 0 shows must have the server's name in it, unless that is sealed."""
        if (SERVICE_NAME.encode() in recording.read_bytes()) is sealed:
            found = "has" if sealed else "has not"
            raise LabFailed(f"{recording.name} {found} the server's name in clear")

    # --- the comparison: TLS 1.3, whose client trusts an authority that the attacker has got a certificate from

    def tls(self, powers: Powers) -> Result:
        """Download by HTTPS over path 0, with a forged certificate there or (P on all) none."""
        with tempfile.TemporaryDirectory(prefix="sennit-attack") as name, contextlib.ExitStack() as stack:
            folder = Path(name)
            make_certificates(folder, service=(VIP,))
            forged = folder / "forged"
            forged.write_bytes(FORGED)
            serve = (
                sys.executable,
                "-m",
                "lab.attack.tls_server",
                str(folder / f"{SERVICE}.pem"),
                str(folder / f"{SERVICE}.key"),
            )
            carrier = self.carriers[0]
            if powers is Powers.PASSIVE:
                edge = self.lab.topology.nearest_edge(carrier).name
                file = str(self.lab.place.node("origin") / SAMPLE)
                listen = f"{VIP}:{TLS_PORT}"
                stack.enter_context(self.daemon(edge, folder / "tls.log", *serve, file, "--listen", listen))
                recording = stack.enter_context(self._recording(carrier, folder))
            else:
                everywhere = ("--listen", f"0.0.0.0:{PORT}", "--transparent")
                stack.enter_context(
                    self.daemon(carrier, folder / "tls.log", *serve, str(forged), *everywhere)
                )
                stack.enter_context(intercept_connections(self.lab, carrier, addresses=(VIP,)))
            url = f"https://{VIP}:{TLS_PORT}/{SAMPLE}"
            curl = ("curl", "-sS", "--fail", "--interface", "cell0", "--cacert", str(folder / "ca.pem"), url)
            done = subprocess.run(
                self.lab.command("phone", *curl), capture_output=True, timeout=scale_limit(60)
            )
            if done.returncode:
                raise LabFailed(f"curl: {done.stderr.decode().strip()}")
            outcome = AttackOutcome.SAFE if done.stdout == self.sample else AttackOutcome.NOT_DETECTED
            stack.close()
            if powers is Powers.PASSIVE:
                self._search([recording])
        expected = AttackOutcome.SAFE if powers is Powers.PASSIVE else AttackOutcome.NOT_DETECTED
        what = "record everything" if powers is Powers.PASSIVE else "a forged certificate"
        return Result("tls 1.3", what, powers, outcome, "", "", expected, outcome is expected)
