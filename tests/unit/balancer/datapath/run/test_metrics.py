"""The text that Prometheus reads, and the server that gives it."""

import http.client
from collections.abc import Iterator

import pytest

from balancer.datapath.maps.counters import EdgeTraffic
from balancer.datapath.run.metrics import MetricsServer, parse_address, render, render_host
from balancer.model.verdict import Reason
from node.state.host_state import ItemState


def test_every_metric_has_its_help_and_type() -> None:
    text = render(7, True, {Reason.FORWARDED: (3, 300)}, {"edge2": EdgeTraffic(1, 10, 2, 20)}, 2)
    assert 'sennit_forwarder_packets_total{reason="forwarded"} 3' in text
    assert 'sennit_forwarder_edge_bytes_total{edge="edge2",direction="received"} 20' in text
    assert "sennit_forwarder_generation 7\n" in text
    assert "sennit_forwarder_xdp_packets_total 2\n" in text
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    for name in names:
        assert f"# HELP {name} " in text
        assert f"# TYPE {name} " in text
    assert text.endswith("\n")


def test_the_host_check_has_a_gauge_for_each_item_and_counts_repairs() -> None:
    items = (ItemState("rule of marked IPv4 replies", True), ItemState("interface bb0", False, "down"))
    text = render_host(items, {"rule of marked IPv4 replies": 2})
    assert 'sennit_forwarder_host_item_ok{item="rule of marked IPv4 replies"} 1\n' in text
    assert 'sennit_forwarder_host_item_ok{item="interface bb0"} 0\n' in text
    assert 'sennit_forwarder_host_repairs_total{item="rule of marked IPv4 replies"} 2\n' in text


@pytest.fixture
def answers() -> Iterator[tuple[list[object], int]]:
    """A server whose metrics are what the list holds; an exception is raised."""
    given: list[object] = ["sennit_forwarder_generation 1\n"]

    def metrics() -> str:
        if isinstance(given[0], Exception):
            raise given[0]
        return str(given[0])

    server = MetricsServer(("127.0.0.1", 0), metrics)
    yield given, server.port
    server.close()


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_it_serves_metrics_and_nothing_else(answers: tuple[list[object], int]) -> None:
    given, port = answers
    assert get(port, "/metrics") == (200, "sennit_forwarder_generation 1\n")
    assert get(port, "/")[0] == 404
    given[0] = RuntimeError("nothing is loaded")
    assert get(port, "/metrics")[0] == 503


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1:9465", ("127.0.0.1", 9465)), ("[::1]:9465", ("::1", 9465))]
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["9465", "localhost:9465", "127.0.0.1:", "127.0.0.1:70000"])
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)
