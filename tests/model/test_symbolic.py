"""The symbolic models of docs/protocol/model: what the prover has said of them, held to the models as they stand."""

import json

import prove_protocol as proofs
import pytest
from prove_protocol import PAGE, RESULTS, digest, format_results, page_tables, write_page
from symbolic_cases import CASES, KINDS, PAIRS, AnyCase, Case, Epochs, SealedName, Step

KEPT: proofs.Kept = json.loads(RESULTS.read_text())
CLIENTS_CLAIMS = ("secrecy", "agreement", "hybrid")
EDGES_CLAIMS = ("edge's secrecy", "edge's claim")
STEPS_CLAIMS = ("secrecy", "agreement", *EDGES_CLAIMS)


def results(case: AnyCase, claims: tuple[str, ...]) -> set[str]:
    return {KEPT[case.name]["results"][claim] for claim in claims}


def test_there_is_a_result_of_every_case() -> None:
    assert list(KEPT) == [case.name for case in CASES]
    assert RESULTS.read_text() == format_results(KEPT)
    assert "not run" not in page_tables(KEPT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_results_are_of_the_models_as_they_stand(case: AnyCase) -> None:
    kept = KEPT[case.name]
    assert kept["model"] == digest(case.text()), f"python tools/prove_protocol.py {case.name}"
    assert list(kept["results"]) == list(case.queries())


@pytest.mark.parametrize(
    "case", [case for case in CASES if isinstance(case, Case)], ids=lambda case: case.name
)
def test_a_client_accepts_and_an_edge_confirms_in_every_case(case: Case) -> None:
    assert results(case, ("reached", "edge reached")) == {"yes"}


def test_the_page_has_the_tables_of_the_results() -> None:
    assert PAGE.read_text() == write_page(PAGE.read_text(), KEPT), "python tools/prove_protocol.py epochs"


@pytest.mark.parametrize(
    "case",
    [Case(client, pair) for client in KINDS for pair in PAIRS if pair != "AA"],
    ids=lambda case: case.name,
)
def test_what_client_and_edge_claim_is_proved(case: Case) -> None:
    assert results(case, CLIENTS_CLAIMS + EDGES_CLAIMS) == {"holds"}


@pytest.mark.parametrize("pair", ["AN", "NA", "AP", "PA"])
def test_a_forged_certificate_alone_breaks_no_claim(pair: str) -> None:
    assert results(Case("mtls", pair, "forged"), CLIENTS_CLAIMS + EDGES_CLAIMS) == {"holds"}


@pytest.mark.parametrize("client", ["known-key", "mtls"])
def test_an_identity_that_the_client_knows_stops_two_active_attackers_that_talk(client: str) -> None:
    assert results(Case(client, "AA"), CLIENTS_CLAIMS) == {"holds"}
    assert results(Case(client, "AA"), EDGES_CLAIMS) == {"violated"}, "clients have no identity"


@pytest.mark.parametrize(
    "case",
    [Case("opportunistic", "AA"), Case("first-contact", "AA"), Case("mtls", "AA", "forged")],
    ids=lambda case: case.name,
)
def test_without_one_they_have_the_key(case: Case) -> None:
    assert results(case, CLIENTS_CLAIMS + EDGES_CLAIMS) == {"violated"}


@pytest.mark.parametrize("client", KINDS)
@pytest.mark.parametrize("also", ["stolen", "quantum"])
def test_a_recording_stays_closed_to_who_steals_the_long_term_keys_or_breaks_x25519(
    client: str, also: str
) -> None:
    assert results(Case(client, "PP", also), ("secrecy", "edge's secrecy")) == {"holds"}


@pytest.mark.parametrize("client", KINDS)
def test_without_the_hybrid_a_recording_is_open_once_x25519_is_broken(client: str) -> None:
    assert results(Case(client, "PP", "quantum", hybrid=False), ("secrecy", "edge's secrecy")) == {"violated"}


def test_a_thief_of_the_sessions_state_opens_no_epoch_that_has_passed() -> None:
    assert results(Epochs(), ("first epoch", "second epoch")) == {"holds"}
    assert results(Epochs(), ("the thief's epoch",)) == {"violated"}


@pytest.mark.parametrize("paths", ["PP", "AN", "NA", "AP", "PA", "P"])
def test_a_step_throws_a_thief_of_the_sessions_state_out(paths: str) -> None:
    assert results(Step(paths), STEPS_CLAIMS) == {"holds"}


@pytest.mark.parametrize("paths", ["AA", "A"])
def test_a_step_over_nothing_but_a_thiefs_paths_keeps_it(paths: str) -> None:
    assert results(Step(paths), STEPS_CLAIMS) == {"violated"}


@pytest.mark.parametrize(("hybrid", "expected"), [(True, "holds"), (False, "violated")])
def test_a_recorded_step_is_closed_to_a_quantum_computer_by_the_hybrid(hybrid: bool, expected: str) -> None:
    assert results(Step("PP", "quantum", hybrid), ("secrecy", "edge's secrecy")) == {expected}


@pytest.mark.parametrize("attackers", ["P", "A"])
def test_no_attacker_reads_or_guesses_a_sealed_name_or_moves_it(attackers: str) -> None:
    assert results(SealedName(attackers), ("secrecy", "guessing", "binding")) == {"holds"}


@pytest.mark.parametrize("also", ["stolen", "quantum"])
def test_a_recorded_name_opens_to_who_has_the_name_keys_afterwards(also: str) -> None:
    assert results(SealedName("P", also), ("secrecy",)) == {"violated"}


@pytest.mark.parametrize(
    "case", [case for case in CASES if isinstance(case, Step | SealedName)], ids=lambda case: case.name
)
def test_a_step_is_concluded_and_a_name_opened_in_every_case(case: Step | SealedName) -> None:
    assert results(case, ("reached",)) == {"yes"}
    if isinstance(case, Step):
        assert results(case, ("edge reached",)) == {"yes"}
