"""The edge's metrics are the facts of its health, as Prometheus's own parser reads them."""

import socket
import urllib.request

from free_ports import free_port
from prometheus_client.parser import text_string_to_metric_families

from edge.server.status.metrics import serve_metrics


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
