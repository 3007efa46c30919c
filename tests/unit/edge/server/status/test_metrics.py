"""The edge's metrics are the facts of its health, as Prometheus's own parser reads them."""

import json
import socket
import urllib.request

from free_ports import free_port
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from edge.server.status.facts import combine_facts
from edge.server.status.metrics import serve_metrics
from edge.telemetry.telemetry import Telemetry
from node.state.identity import NodeIdentity
from node.vip import Vip


def test_facts_are_metrics_until_the_end() -> None:
    port = free_port()
    facts = {
        "status": "degraded",
        "draining": True,
        "sessions": 3,
        "handshakes": 2,
        "failures": {"Overloaded": 5},
    }
    stop = serve_metrics(f"127.0.0.1:{port}", lambda: facts)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    finally:
        stop()
    values = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert values["sennit_edge_well",] == 0
    assert values["sennit_edge_draining",] == 1
    assert values["sennit_edge_sessions",] == 3
    assert values["sennit_edge_handshakes",] == 2
    assert values["sennit_edge_handshake_failures_total", "Overloaded"] == 5
    assert values["process_open_fds",] > 0
    with socket.create_server(("127.0.0.1", port)):
        pass  # the port is free again


def test_the_last_request_to_an_origin_is_the_exemplar_of_its_bucket() -> None:
    workers = [Telemetry(1), Telemetry(1)]
    for number, each in enumerate(workers):
        figures = each.figures.of_service("shop")
        figures.count_origin(0.03, failed=False)
        figures.exemplar = f"{number:032x}", 0.03, 1_800_000_000.0 + number
    node = NodeIdentity(1, "edge1", Vip("main", "203.0.113.1", None, 443))
    facts = combine_facts(node, [json.loads(json.dumps(each.facts())) for each in workers])
    port = free_port()
    stop = serve_metrics(f"127.0.0.1:{port}", lambda: facts)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    try:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=accept)
        with urllib.request.urlopen(asked, timeout=5) as answer:
            families = list(parse_openmetrics(answer.read().decode()))
    finally:
        stop()
    found = {
        sample.labels["le"]: sample.exemplar
        for family in families
        for sample in family.samples
        if sample.name == "sennit_edge_service_origin_seconds_bucket" and sample.exemplar is not None
    }
    assert set(found) == {"0.05"}
    assert found["0.05"].labels == {"request_id": f"{1:032x}"}
    assert found["0.05"].value == 0.03
