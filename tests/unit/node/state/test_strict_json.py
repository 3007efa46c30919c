"""Numbers of another daemon's JSON are finite, and whole ones are those that every reader of JSON reads alike."""

import json
from pathlib import Path

import pytest

from node.state.catalogue import PROBE_RESULTS, TRAFFIC
from node.state.forwarder import read_tunnel_counts
from node.state.probe_results import read_results
from node.state.strict_json import LARGEST_INTEGER, parse_strictly


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"at": -Infinity}', "1e999", "-1e400"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON|not a finite number"):
        parse_strictly(text)


@pytest.mark.parametrize("text", [str(LARGEST_INTEGER + 1), str(-LARGEST_INTEGER - 1), "1" + "0" * 5000])
def test_a_whole_number_beyond_53_bits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 53 bits"):
        parse_strictly(text)


@pytest.mark.parametrize(
    "value", [0, -1, LARGEST_INTEGER, -LARGEST_INTEGER, 0.5, 1e300, "1e999", None, [True]]
)
def test_everything_else_is_what_python_reads(value: object) -> None:
    assert parse_strictly(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"at": 1.0, "sent": {"2": [Infinity, 1]}}',
        '{"at": 1.0, "sent": {"2": [1e999, 1]}}',
        '{"at": 1e999, "sent": {}}',
        '{"at": 1.0, "sent": {"99999": [1, 1]}}',
        '{"at": 1.0, "sent": {"0": [1, 1]}}',
    ],
)
def test_counts_out_of_bounds_are_no_counts(tmp_path: Path, text: str) -> None:
    TRAFFIC.write_text(tmp_path, text)
    assert read_tunnel_counts(tmp_path) is None


@pytest.mark.parametrize("edge_id", ['"x"', "0", "55536", "true", "[1]", "1.5"])
def test_a_probe_of_no_edge_makes_the_round_invalid(tmp_path: Path, edge_id: str) -> None:
    round_ = f'{{"at": 1.0, "results": [{{"name": "a", "ok": true, "why": "", "edge_id": {edge_id}}}]}}'
    PROBE_RESULTS.write_text(tmp_path, round_)
    (result,) = read_results(tmp_path, 2.0)
    assert (result.ok, result.why) == (False, "probes.json is invalid")
