"""The Grafana dashboard asks for metrics that are documented, each panel for what it shows."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "packaging" / "grafana" / "sennit.json"
# of every process, by the exposition library
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def panels() -> list[dict]:  # type: ignore[type-arg]
    found: list[dict] = json.loads(DASHBOARD.read_text())["panels"]  # type: ignore[type-arg]
    return [panel for panel in found if panel["type"] != "row"]


def documented() -> set[str]:
    text = "\n".join((ROOT / "docs" / name).read_text() for name in ("metrics.md", "forwarder/operation.md"))
    whole = set(re.findall(r"\b(sennit_[a-z_]+)", text))
    # the forwarder's page shortens the names that follow the first
    short = {f"sennit_forwarder_{end}" for end in re.findall(r"`\.\.\._([a-z_]+)", text)}
    return whole | short | PROCESS


def test_every_metric_that_is_asked_for_is_documented() -> None:
    asked = {
        name
        for panel in panels()
        for target in panel["targets"]
        for name in re.findall(r"\b((?:sennit|process)_[a-z_]+)", target["expr"])
    }
    assert asked - documented() == set()
    assert {name.split("_")[1] for name in asked if name.startswith("sennit")} >= {
        "agent",
        "edge",
        "forwarder",
    }


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["description"], panel["title"]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]
