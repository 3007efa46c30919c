"""The cases of the symbolic models of docs/protocol/model/symbolic: what goes into the prover, and what is asked."""

from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).parents[1] / "docs" / "protocol" / "model" / "symbolic"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client: its name in results and on the page, its constant in the models, the file of its mode."""

    name: str
    constant: str
    mode: str


KINDS = {
    "opportunistic": Kind("opportunistic", "OPPORTUNISTIC_CLIENT", "frames"),
    "first-contact": Kind("tofu, first contact", "FIRST_CONTACT", "frames"),
    "known-key": Kind("tofu, key known", "KNOWN_KEY", "frames"),
    "mtls": Kind("mtls", "MTLS_CLIENT", "tls"),
}
VALUES = "id, n_c, n_s, said, prk, th"
DECLARED = ", ".join(f"{name}: bitstring" for name in ("kind", *VALUES.split(", ")))
FORGED = "out(net, certificate_of(forged_key))"
STOLEN = {
    "frames": "phase 1; out(net, (fleet_key, certified_key))",
    "tls": "phase 1; out(net, (authority_key, edge_key))",
}
STOLEN_NAME_KEYS = "phase 1; out(net, (name_key, next_name_key))"
STEP_VALUES = "rk, n_c, n_s, share, answer, prk, th"
QUANTUM = "phase 1; !in(net, share: bitstring); out(net, logarithm(share))"


AFTER_PATH_0 = "(* From ServerNonce"  # in terms.pv, what steps and sealed names have no use for


def read_model(name: str) -> str:
    return (MODELS / f"{name}.pv").read_text()


def declare_paths(attackers: str) -> str:
    """Return the channels path0, path1, ... and Send, which copies to passive attackers what they read.

    `attackers`: a letter a path: N none, P passive, A active.
    """
    paths = copies = ""
    for number, who in enumerate(attackers):
        paths += f"free path{number}: channel{'' if who == 'A' else ' [private]'}.\n"
        copies += f" | (if c = path{number} then out(net, m))" if who == "P" else ""
    return f"{paths}let Send(c: channel, m: bitstring) = out(c, m){copies}.\n"


def own_encapsulation(hybrid: bool) -> str:
    return "encapsulation_key(d)" if hybrid else "NONE"


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the prover: the kind of clients, who is on path 0 and path 1 (N none, P passive, A active), what else.

    Clients of other kinds have no secrets of their own: the attacker plays them.
    """

    client: str
    attackers: str
    also: str = ""  # "forged", "stolen" or "quantum"
    hybrid: bool = True

    @property
    def name(self) -> str:
        parts = [self.client, self.attackers, self.also, "" if self.hybrid else "classical"]
        return "-".join(part for part in parts if part)

    @property
    def mode(self) -> str:
        return KINDS[self.client].mode

    @property
    def later(self) -> str:
        return {"": "0", "forged": FORGED, "stolen": STOLEN[self.mode], "quantum": QUANTUM}[self.also]

    def queries(self) -> dict[str, str]:
        """Return what is asked, by its name in the results. `reached` are events that must happen in some run."""
        phase = " phase 1" if self.later.startswith("phase") else ""
        kind = KINDS[self.client].constant
        accepts = f"client_accepts({kind}, {VALUES})"
        return {
            "secrecy": f"attacker(stream_of({kind})){phase}",
            "agreement": f"inj-event({accepts}) ==> inj-event(edge_answers({VALUES}))",
            "hybrid": f"event(accepted_group({kind}, CLASSICAL))",
            "reached": f"event({accepts})",
            "edge's secrecy": f"attacker(stream_to_confirmed){phase}",
            "edge's claim": f"event(path_confirmed({VALUES})) ==> event(client_accepts(kind, {VALUES}))",
            "edge reached": f"event(path_confirmed({VALUES}))",
        }

    def text(self) -> str:
        """Return the whole input of the prover."""
        terms, mode = (read_model(name) for name in ("terms", self.mode))
        return (
            terms.replace(AFTER_PATH_0, f"{declare_paths(self.attackers)}\n{AFTER_PATH_0}")
            + mode.replace("HYBRID_SHARE", own_encapsulation(self.hybrid))
            + f"query {DECLARED};\n  "
            + ";\n  ".join(self.queries().values())
            + f".\nprocess (!Client(path0, path1, {KINDS[self.client].constant}))"
            + f" | (!Edge(path0, path1, true)) | (!Edge(net, path1, false)) | ({self.later})\n"
        )


@dataclass(frozen=True, slots=True)
class Epochs:
    """The chain of epochs of a stream, a file that needs nothing else."""

    name: str = "epochs"

    def queries(self) -> dict[str, str]:
        names = {"first epoch": "first", "second epoch": "second", "the thief's epoch": "third"}
        return {name: f"attacker({term}) phase 1" for name, term in names.items()}

    def text(self) -> str:
        return read_model("epochs")


@dataclass(frozen=True, slots=True)
class Step:
    """A key step after the theft of a session's state: who is on its share path and nonce path, in either order.

    One letter: both are one path.
    """

    attackers: str
    also: str = ""  # "quantum"
    hybrid: bool = True

    @property
    def name(self) -> str:
        return "-".join(part for part in ("step", self.attackers, self.also, self._group) if part)

    @property
    def _group(self) -> str:
        return "" if self.hybrid else "classical"

    def queries(self) -> dict[str, str]:
        phase = " phase 1" if self.also else ""
        concludes, binds, changes = (
            f"{event}({STEP_VALUES})" for event in ("client_concludes", "edge_binds", "edge_changes")
        )
        return {
            "secrecy": f"attacker(client_stream){phase}",
            "agreement": f"inj-event({concludes}) ==> inj-event({binds})",
            "reached": f"event({concludes})",
            "edge's secrecy": f"attacker(edge_stream){phase}",
            "edge's claim": f"event({changes}) ==> event({concludes})",
            "edge reached": f"event({changes})",
        }

    def text(self) -> str:
        steps = read_model("steps").replace("HYBRID_SHARE", own_encapsulation(self.hybrid))
        orders = ((0, 1), (1, 0)) if len(self.attackers) == 2 else ((0, 0),)
        ends = " | ".join(
            f"{end}(path{share}, path{nonce}, (PATH{share}, PATH{nonce}), rk)"
            for share, nonce in orders
            for end in ("StepClient", "StepEdge")
        )
        return (
            read_model("terms").partition(AFTER_PATH_0)[0]
            + declare_paths(self.attackers)
            + steps.replace("STEP_GROUP", "HYBRID" if self.hybrid else "CLASSICAL")
            + f"query {', '.join(f'{value}: bitstring' for value in STEP_VALUES.split(', '))};\n  "
            + ";\n  ".join(self.queries().values())
            + f".\nprocess (!(new rk: bitstring; out(net, rk); ({ends}))) | ({QUANTUM if self.also else '0'})\n"
        )


@dataclass(frozen=True, slots=True)
class SealedName:
    """The server name under seal: who is on path 0, and what they do afterwards."""

    attackers: str
    also: str = ""  # "stolen" or "quantum"

    @property
    def name(self) -> str:
        return "-".join(part for part in ("sealed-name", self.attackers, self.also) if part)

    def queries(self) -> dict[str, str]:
        phase = " phase 1" if self.also else ""
        return {
            "guessing": "weaksecret client_name",
            "secrecy": f"attacker(client_name){phase}",
            "binding": "event(edge_opens(rest, client_name)) ==> event(client_seals(rest, client_name))",
            "reached": "event(edge_opens(rest, client_name))",
        }

    def text(self) -> str:
        weak, *queries = self.queries().values()
        later = {"": "0", "stolen": STOLEN_NAME_KEYS, "quantum": QUANTUM}[self.also]
        return (
            read_model("terms").partition(AFTER_PATH_0)[0]
            + declare_paths(self.attackers)
            + read_model("sealed_name")
            + f"{weak}.\nquery rest: bitstring;\n  "
            + ";\n  ".join(queries)
            + ".\nprocess (out(net, (public_key(fleet_key), power(G, name_key))))"
            + f" | (!Client(path0)) | (!Edge(path0)) | ({later})\n"
        )


AnyCase = Case | Epochs | Step | SealedName
PAIRS = ("PP", "AN", "NA", "AP", "PA", "AA")
STEP_PATHS = ("PP", "AN", "NA", "AP", "PA", "AA", "P", "A")
CASES: tuple[AnyCase, ...] = (
    Epochs(),
    *(Case(client, pair) for client in KINDS for pair in PAIRS),
    *(Case("mtls", pair, "forged") for pair in PAIRS[1:]),
    *(Case(client, "PP", also) for client in KINDS for also in ("stolen", "quantum")),
    *(Case(client, "PP", "quantum", hybrid=False) for client in KINDS),
    *(Step(paths) for paths in STEP_PATHS),
    *(Step("PP", "quantum", hybrid) for hybrid in (True, False)),
    *(SealedName(who) for who in ("P", "A")),
    *(SealedName("P", also) for also in ("stolen", "quantum")),
)
