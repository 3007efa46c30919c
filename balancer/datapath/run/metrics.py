"""Prometheus metrics of the forwarder (text format 0.0.4), served by `sennit forwarder run --metrics`."""

import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from balancer.datapath.maps.counters import EdgeTraffic, read_counters, read_traffic, read_xdp_counters
from balancer.model.table import ForwardingTable
from balancer.model.verdict import Reason
from node.state.host_state import ItemState

SCRAPE_TIMEOUT = 10  # seconds
MAXIMUM_EDGES = 1_000  # with their own samples: those with traffic, lowest ids first


def render(
    generation: int,
    fresh: bool,
    reasons: dict[Reason, tuple[int, int]],
    traffic: dict[str, EdgeTraffic],
    by_xdp: int,
) -> str:
    """Return all metrics; `traffic` by the names of edges."""
    lines = [
        *_render_metric(
            "generation", "gauge", "Generation of the active forwarding table.", [("", generation)]
        ),
        *_render_metric(
            "table_fresh", "gauge", "1 while the forwarding table counts as current.", [("", int(fresh))]
        ),
    ]
    for number, unit in enumerate(("packets", "bytes")):
        samples = [(f'{{reason="{reason.name.lower()}"}}', both[number]) for reason, both in reasons.items()]
        lines += _render_metric(f"{unit}_total", "counter", f"{unit.capitalize()} by reason.", samples)
    lines += _render_metric(
        "xdp_packets_total",
        "counter",
        "Packets whose verdict XDP gave, included in packets_total.",
        [("", by_xdp)],
    )
    for unit in ("packets", "bytes"):
        samples = [
            (f'{{edge="{name}",direction="{way}"}}', int(getattr(of_edge, f"{way}_{unit}")))
            for name, of_edge in traffic.items()
            for way in ("sent", "received")
        ]
        lines += _render_metric(f"edge_{unit}_total", "counter", f"{unit.capitalize()} in tunnels.", samples)
    return "\n".join(lines) + "\n"


def _render_metric(name: str, kind: str, text: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    full = f"sennit_forwarder_{name}"
    return [
        f"# HELP {full} {text}",
        f"# TYPE {full} {kind}",
        *(f"{full}{labels} {value}" for labels, value in samples),
    ]


def render_host(items: Iterable[ItemState], repairs: Mapping[str, int]) -> str:
    """Return the metrics of the host check: one gauge per wanted item, and the daemon's repairs."""
    states = [(f'{{item="{item.name}"}}', int(item.deviation is None)) for item in items]
    repaired = [(f'{{item="{name}"}}', number) for name, number in sorted(repairs.items())]
    lines = [
        *_render_metric("host_item_ok", "gauge", "1 while the host is as the forwarder needs it.", states),
        *_render_metric("host_repairs_total", "counter", "Repairs of the host by the daemon.", repaired),
    ]
    return "\n".join(lines) + "\n"


def collect_metrics(bpffs: Path, table: ForwardingTable, fresh: bool) -> str:
    """Read the counters and return all metrics. Raises `pins.NotLoaded`."""
    names = {edge.id: edge.name for edge in table.edges}
    traffic = read_traffic(bpffs, sorted(names))
    busy = {names[number]: seen for number, seen in traffic.items() if seen != EdgeTraffic(0, 0, 0, 0)}
    shown = dict(list(busy.items())[:MAXIMUM_EDGES])
    by_xdp = sum(packets for packets, _ in read_xdp_counters(bpffs).values())
    return render(table.generation, fresh, read_counters(bpffs), shown, by_xdp)


def parse_address(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT or [ADDRESS]:PORT. Raises ValueError."""
    host, _, port = text.rpartition(":")
    address = ip_address(host.strip("[]"))
    if not 0 <= int(port) <= 65535:
        raise ValueError(f"port {port} is not in 0-65535")
    return str(address), int(port)


class MetricsServer:
    """Serves GET /metrics on one address in its own thread."""

    def __init__(self, address: tuple[str, int], metrics: Callable[[], str]) -> None:
        handler = type("Handler", (_Handler,), {"metrics": staticmethod(metrics)})
        self._server = ThreadingHTTPServer(address, handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    metrics: Callable[[], str]
    timeout = SCRAPE_TIMEOUT

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self.send_error(404, "not found: use /metrics")
            return
        try:
            body = self.metrics().encode()
        except Exception as error:  # a scrape must not end the daemon
            self.send_error(503, str(error)[:200].replace("\n", " "))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Do not log scrapes."""
