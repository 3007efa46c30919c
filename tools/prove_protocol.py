"""Prove the symbolic models of docs/protocol/model/symbolic with ProVerif, and keep what it said beside them.

`python tools/prove_protocol.py --prover FILE [CASE ...]` (an hour of one processor) writes results.json and
the tables of the models' page. A test holds that the results are those of the models as they stand.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).parents[1] / "docs" / "protocol" / "model" / "symbolic"
RESULTS = MODELS / "results.json"
PAGE = MODELS.parent / "README.md"
TIMEOUT = 3600  # seconds for one case


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
QUANTUM = "phase 1; !in(net, share: bitstring); out(net, logarithm(share))"


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
        paths = ""
        copies = ""
        for number, who in enumerate(self.attackers):
            paths += f"free path{number}: channel{'' if who == 'A' else ' [private]'}.\n"
            copies += f" | (if c = path{number} then out(net, m))" if who == "P" else ""
        share = "encapsulation_key(d)" if self.hybrid else "NONE"
        terms, mode = ((MODELS / f"{name}.pv").read_text() for name in ("terms", self.mode))
        send = f"let Send(c: channel, m: bitstring) = out(c, m){copies}.\n"
        return (
            terms.replace("(* From ServerNonce", f"{paths}{send}\n(* From ServerNonce")
            + mode.replace("HYBRID_SHARE", share)
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
        return (MODELS / "epochs.pv").read_text()


PAIRS = ("PP", "AN", "NA", "AP", "PA", "AA")
CASES: tuple[Case | Epochs, ...] = (
    Epochs(),
    *(Case(client, pair) for client in KINDS for pair in PAIRS),
    *(Case("mtls", pair, "forged") for pair in PAIRS[1:]),
    *(Case(client, "PP", also) for client in KINDS for also in ("stolen", "quantum")),
    *(Case(client, "PP", "quantum", hybrid=False) for client in KINDS),
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prove(case: Case | Epochs, prover: str) -> dict[str, str]:
    """Return what the prover says of one case, by name of query: "holds", "violated" or "not proved".

    Of what must be reached, "yes" or "no".
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.pv"
        file.write_text(case.text())
        said = subprocess.run([prover, str(file)], capture_output=True, text=True, timeout=TIMEOUT)
    summary = said.stdout.rpartition("Verification summary:")[2]
    answers = re.findall(r"^Query .+?(is true|is false|cannot be proved)\.$", summary, re.MULTILINE)
    names = list(case.queries())
    if len(answers) != len(names):
        raise SystemExit(
            f"{case.name}: {len(answers)} answers to {len(names)} queries\n{said.stdout[-2000:]}"
        )
    words = {"is true": "holds", "is false": "violated", "cannot be proved": "not proved"}
    reached = {"holds": "no", "violated": "yes", "not proved": "not proved"}
    results = {name: words[answer] for name, answer in zip(names, answers, strict=True)}
    return {name: reached[result] if name.endswith("reached") else result for name, result in results.items()}


BEGIN, END = "<!-- generated: tools/prove_protocol.py -->", "<!-- end -->"
Kept = dict[str, dict[str, dict[str, str]]]
PAIR_NAMES = {"PP": "P on all", "AN": "A on 0", "NA": "A on 1", "AP": "A-P", "PA": "P-A", "AA": "A-A"}
LATER = {  # what they do afterwards, and whether the client offers the hybrid
    ("stolen", True): "who steals the long-term keys",
    ("quantum", True): "who has a quantum computer",
    ("quantum", False): "the same, X25519 alone",
}
CLAIMS = {"": ("secrecy", "agreement", "hybrid"), ", the edge's": ("edge's secrecy", "edge's claim")}


def page_tables(kept: Kept) -> str:
    """Return the page's tables: each pair of attackers, what comes after the session, epochs."""
    return "\n".join([_pairs(kept), _later(kept), _epochs(kept)])


def _pairs(kept: Kept) -> str:
    """For each kind of client its claims, and those of the edge that serves it."""
    rows = []
    for client, also in (*((client, "") for client in KINDS), ("mtls", "forged")):
        for whose, claims in CLAIMS.items():
            cells = [_cell(kept, Case(client, pair, also), claims) for pair in PAIRS]
            rows.append([f"{KINDS[client].name}{', forged certificate' if also else ''}{whose}", *cells])
    return _table(["", *PAIR_NAMES.values()], rows)


def _later(kept: Kept) -> str:
    rows = []
    for client, kind in KINDS.items():
        cases = [Case(client, "PP", also, hybrid) for also, hybrid in LATER]
        rows.append([kind.name, *(_cell(kept, case, ("secrecy", "edge's secrecy")) for case in cases)])
    return _table(["secrecy against P on all,", *LATER.values()], rows)


def _epochs(kept: Kept) -> str:
    case = Epochs()
    return _table(
        ["secrecy of", "in epochs.pv"], [[name, _cell(kept, case, (name,))] for name in case.queries()]
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [" | ".join(cells) for cells in (head, *rows)]
    lines.insert(1, "|".join(["---"] * len(head)))
    return "".join(f"|{line}|\n" if line.startswith("---") else f"| {line} |\n" for line in lines)


def _cell(kept: Kept, case: Case | Epochs, claims: tuple[str, ...]) -> str:
    """All of these claims as one word; the claims that differ by name."""
    if case not in CASES:
        return "-"
    if case.name not in kept:
        return "not run"
    results = {claim: kept[case.name]["results"][claim] for claim in claims}
    if len(set(results.values())) > 1:
        return ", ".join(f"{claim}: {_emphasize(result)}" for claim, result in results.items())
    return _emphasize(results[claims[0]])


def _emphasize(result: str) -> str:
    return result if result == "holds" else f"**{result}**"


def write_page(page: str, kept: Kept) -> str:
    """Return the page with its tables renewed."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{page_tables(kept)}\n{END}{rest.partition(END)[2]}"


def format_results(kept: Kept) -> str:
    """Return the text of results.json, in the order of the cases."""
    return json.dumps({case.name: kept[case.name] for case in CASES if case.name in kept}, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--prover", default="proverif", help="the program (proverif)")
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"{', '.join(c.name for c in CASES)} (all)")
    options = parser.parse_args(arguments)
    kept: Kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for case in CASES:
        if options.names and case.name not in options.names:
            continue
        started = time.monotonic()
        kept[case.name] = {"model": digest(case.text()), "results": prove(case, options.prover)}
        print(f"{case.name}: {time.monotonic() - started:.0f} s {kept[case.name]['results']}", flush=True)
        RESULTS.write_text(format_results(kept))
    PAGE.write_text(write_page(PAGE.read_text(), kept))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
