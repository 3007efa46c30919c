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
from pathlib import Path

from symbolic_cases import CASES, KINDS, MODELS, PAIRS, STEP_PATHS, AnyCase, Case, Epochs, SealedName, Step

RESULTS = MODELS / "results.json"
PAGE = MODELS.parent / "README.md"
TIMEOUT = 3600  # seconds for one case


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prove(case: AnyCase, prover: str) -> dict[str, str]:
    """Return what the prover says of one case, by name of query: "holds", "violated" or "not proved".

    Of what must be reached, "yes" or "no".
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.pv"
        file.write_text(case.text())
        said = subprocess.run([prover, str(file)], capture_output=True, text=True, timeout=TIMEOUT)
    summary = said.stdout.rpartition("Verification summary:")[2]
    answers = re.findall(
        r"^(?:Query|Weak secret) .+?(is true|is false|cannot be proved)\.$", summary, re.MULTILINE
    )
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
CLAIMS_OF_STEPS = (("secrecy", "agreement"), ("edge's secrecy", "edge's claim"))


def page_tables(kept: Kept) -> str:
    """Return the page's tables: each pair of attackers, what comes after the session, epochs, steps, sealed names."""
    return "\n".join([_pairs(kept), _later(kept), _epochs(kept), _steps(kept), _sealed_names(kept)])


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


def _steps(kept: Kept) -> str:
    rows = []
    for paths in STEP_PATHS:
        who = PAIR_NAMES[paths] if len(paths) == 2 else f"{paths}, both on one path"
        rows.append([who, *_step_cells(kept, Step(paths), CLAIMS_OF_STEPS)])
    secrecy = tuple(claims[:1] for claims in CLAIMS_OF_STEPS)
    for hybrid, who in ((True, "P on all, then a quantum computer"), (False, "the same, X25519 alone")):
        rows.append([who, *_step_cells(kept, Step("PP", "quantum", hybrid), secrecy)])
    return _table(["after a step, against the thief who is", "the client's", "the edge's"], rows)


def _step_cells(kept: Kept, case: Step, claims: tuple[tuple[str, ...], ...]) -> list[str]:
    return [_cell(kept, case, each) for each in claims]


def _sealed_names(kept: Kept) -> str:
    columns = {
        "P": SealedName("P"),
        "A": SealedName("A"),
        "P, who steals the name keys afterwards": SealedName("P", "stolen"),
        "P, who has a quantum computer afterwards": SealedName("P", "quantum"),
    }
    claims = ("secrecy", "guessing", "binding")
    rows = [[who, *(_cell(kept, case, (claim,)) for claim in claims)] for who, case in columns.items()]
    return _table(["the sealed name, against", "secrecy", "no guess can be checked", "binding"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [" | ".join(cells) for cells in (head, *rows)]
    lines.insert(1, "|".join(["---"] * len(head)))
    return "".join(f"|{line}|\n" if line.startswith("---") else f"| {line} |\n" for line in lines)


def _cell(kept: Kept, case: AnyCase, claims: tuple[str, ...]) -> str:
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
