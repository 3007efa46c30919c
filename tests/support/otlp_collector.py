"""A receiver of OTLP over HTTP: it decodes what it is sent, by the protocol's own messages."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class SeenSpan:
    """A span with ids in hexadecimal digits, and attributes by name."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    status: int


@dataclass
class Collector:
    """`url` is its endpoint; it answers with `status`, once `released`."""

    url: str = ""
    spans: list[SeenSpan] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    posts: int = 0
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str, kind: int) -> list[SeenSpan]:
        return [each for each in self.spans if (each.name, each.kind) == (name, kind)]

    def receive_body(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_attributes_of(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans.extend(_read_span(span) for span in scope.spans)


def _read_span(span: Any) -> SeenSpan:
    return SeenSpan(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        _attributes_of(span.attributes),
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        span.status.code,
    )


def _attributes_of(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collecting(*, hangs: bool = False) -> Iterator[Collector]:
    """Receive at a free port of the loopback; one that hangs answers when it is released, at the end at the latest."""
    collector = Collector()
    if not hangs:
        collector.released.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.posts += 1
            collector.released.wait(60)
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if collector.status == 200:
                collector.receive_body(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
