"""Configurations for shippers and the dashboard over their lines name fields that the access log has."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "packaging" / "logs"
PAGE = (ROOT / "docs" / "operate" / "access-log.md").read_text()
FIELDS = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_the_dashboard_asks_for_fields_of_the_log_and_its_panels_do_not_overlap() -> None:
    panels = json.loads((LOGS / "grafana-loki.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        for target in panel["targets"]:
            asked = set(re.findall(r'(\w+)="\1"', target["expr"]))
            asked |= set(re.findall(r"{{\.(\w+)}}", target["expr"]))
            assert asked <= FIELDS, panel["title"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert panel["description"]
        taken |= cells


def test_vector_and_fluent_bit_name_fields_of_the_log() -> None:
    text = (LOGS / "vector.toml").read_text()
    labels = tomllib.loads(text)["sinks"]["loki"]["labels"].values()
    asked = {name for label in labels for name in re.findall(r"{{ (\w+) }}", label)}
    asked |= set(re.findall(r"string!\(\.(\w+)\)", text)) - {"message"}
    shipped = (LOGS / "fluent-bit.conf").read_text() + (LOGS / "fluent-bit.parsers.conf").read_text()
    asked |= set(re.findall(r"\$(\w+)", shipped)) | set(re.findall(r"time_key +(\w+)", shipped))
    assert asked
    assert asked <= FIELDS


def test_the_page_says_which_were_tried() -> None:
    text = (LOGS / "README.md").read_text()
    names = {path.name for path in LOGS.iterdir()} - {"README.md"}
    assert names <= set(re.findall(r"`([\w.-]+)`", text))
