"""The metrics for Prometheus, each of which docs/control.md explains."""

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[4] / "docs" / "control.md"


async def figures(api: Any) -> dict[str, float]:
    answer = await api.ask("GET", "/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = [each for family in text_string_to_metric_families(answer.text) for each in family.samples]
    return {"".join([each.name, *each.labels.values()]): each.value for each in samples}


async def test_the_figures_are_those_of_the_fleet(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
    await api.heartbeat(1, applied_generation=1)
    await api.ask("PUT", "/v1/freeze", {})
    shown = await figures(api)
    assert (shown["sennit_control_edgesup"], shown["sennit_control_edgesdown"]) == (1, 2)
    assert shown["sennit_control_generation"] == (await api.table())["generation"]
    assert (shown["sennit_control_forwarders"], shown["sennit_control_acknowledged_share"]) == (1, 0)
    assert (shown["sennit_control_leases"], shown["sennit_control_frozen"]) == (1, 1)
    assert shown["process_resident_memory_bytes"] > 0


async def test_the_page_explains_every_figure(api: Any) -> None:
    text = PAGE.read_text()
    answer = await api.ask("GET", "/v1/metrics")
    for family in text_string_to_metric_families(answer.text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name.startswith("process_") or f"| `{name}` |" in text, name


async def test_an_edge_may_not_read_metrics(api: Any) -> None:
    await api.enrol(1)
    assert (await api.ask("GET", "/v1/metrics", token="credential-1")).status_code == 403


async def test_a_heartbeat_of_a_newer_agent_is_taken_and_what_is_unknown_in_it_counted(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    newer = {
        "peers": [{"edge_id": 2, "backbone": True, "sideways": True}],
        "colour": "red",
        "mood": {"is": [1]},
    }
    assert (await api.heartbeat(1, applied_generation=1, **newer)).status_code == 200
    await api.heartbeat(1, applied_generation=1)
    shown = await figures(api)
    assert shown["sennit_control_unknown_members_total"] == 2
    assert shown["sennit_control_leases"] == 1
    wrong = await api.ask("PATCH", "/v1/edges/1", {"weigth": 5})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "weigth")
