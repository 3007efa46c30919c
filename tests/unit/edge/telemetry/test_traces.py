"""Spans reach a collector of OTLP over HTTP, linked by traceparent; one that hangs costs spans and no request."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from otlp_collector import Collector, collecting
from scripted_server import ScriptedServer, answer
from served_cache import served

from edge.telemetry.traces.span_export import SpanExport
from edge.telemetry.traces.spans import open_export

SERVER, CLIENT, INTERNAL = 2, 3, 1
CACHED = "cache-control: max-age=600"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def until_spans(collector: Collector, count: int) -> None:
    async with asyncio.timeout(10):
        while len(collector.spans) < count:
            await asyncio.sleep(0.02)


async def test_request_cache_and_origin_are_one_trace_and_the_origin_gets_its_own_parent(
    tmp_path: Path,
) -> None:
    server = ScriptedServer(lambda asked: [answer("body", CACHED)])
    with collecting() as collector:
        traces = open_export(collector.url, "edge1", "1.2", 1.0)
        async with served(tmp_path, server, traces=traces) as [one]:
            got = await one.get("/a?token=secret", traceparent=f"00-{TRACE}-{PARENT}-01", user_agent="test/1")
            await until_spans(collector, 3)
            async with asyncio.timeout(10):
                while one.telemetry.facts()["traces"] != {"exported": 3, "lost": {}}:
                    await asyncio.sleep(0.02)
    [request], [cache], [attempt] = (
        collector.named("GET", SERVER),
        collector.named("cache", INTERNAL),
        collector.named("GET", CLIENT),
    )
    assert {each.trace_id for each in collector.spans} == {TRACE}
    assert request.parent_id == PARENT
    assert cache.parent_id == attempt.parent_id == request.span_id
    assert server.asked[0].fields["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"
    assert collector.resources[0] == {
        "service.name": "sennit-edge",
        "service.version": "1.2",
        "service.instance.id": "edge1",
    }
    shown = request.attributes
    assert (shown["http.request.method"], shown["http.response.status_code"]) == ("GET", 200)
    assert (shown["url.path"], shown["server.address"], shown["client.address"]) == ("/a", "cdn", "127.0.0.1")
    assert (shown["user_agent.original"], shown["http.response.body.size"]) == ("test/1", 4)
    assert shown["sennit.request_id"] == got.headers["x-request-id"]
    assert attempt.attributes["url.full"].endswith("/a")
    assert attempt.attributes["http.response.status_code"] == 200
    assert 0 <= cache.seconds <= request.seconds
    assert "secret" not in str([each.attributes for each in collector.spans])


async def test_a_failed_origin_is_an_error_and_each_retry_a_span(tmp_path: Path) -> None:
    server = ScriptedServer(lambda asked: [answer("no", status="503 Service Unavailable")])
    with collecting() as collector:
        async with served(tmp_path, server, traces=open_export(collector.url, "edge1", "1", 1.0)) as [one]:
            assert (await one.get()).status_code == 503
            await until_spans(collector, 2)
    [request], attempts = collector.named("GET", SERVER), collector.named("GET", CLIENT)
    assert request.parent_id == ""
    assert (request.status, request.attributes["error.type"]) == (2, "503")
    assert {each.attributes["error.type"] for each in attempts} == {"503"}
    assert request.trace_id == request.attributes["sennit.request_id"] == attempts[0].trace_id


async def test_what_the_client_does_not_sample_is_not_exported_and_hits_from_memory_are(
    tmp_path: Path,
) -> None:
    server = ScriptedServer(lambda asked: [answer("body", CACHED)])
    with collecting() as collector:
        async with served(tmp_path, server, traces=open_export(collector.url, "edge1", "1", 1.0)) as [one]:
            await one.get(traceparent=f"00-{TRACE}-{PARENT}-00")
            assert server.asked[0].fields["traceparent"].endswith("-00")
            async with asyncio.timeout(10):
                while not one.proxy.fast_path.hits:
                    got = await one.get()
            await until_spans(collector, 1)
    assert TRACE not in {each.trace_id for each in collector.spans}
    last = [
        s for s in collector.spans if s.attributes.get("sennit.request_id") == got.headers["x-request-id"]
    ]
    assert [each.attributes["sennit.cache.status"] for each in last] == ["hit"]


async def test_a_collector_that_hangs_costs_spans_and_no_request(tmp_path: Path) -> None:
    server = ScriptedServer(lambda asked: [answer("body", "cache-control: no-store")])
    with collecting(hangs=True) as collector:
        traces = open_export(collector.url, "edge1", "1", 1.0)
        traces._limit = 20
        async with served(tmp_path, server, traces=traces) as [one]:
            await one.get()
            async with asyncio.timeout(10):
                while not collector.posts:
                    await asyncio.sleep(0.02)
            began = time.monotonic()
            for _ in range(30):
                assert (await one.get()).status_code == 200
            assert time.monotonic() - began < 5  # the collector has not answered yet
            assert one.telemetry.facts()["traces"]["lost"]["queue full"] >= 40
            collector.released.set()
            await until_spans(collector, 20)


async def test_refused_and_failing_exports_are_counted() -> None:
    gate = threading.Event()

    def send(records: Sequence[Any]) -> tuple[int, bool]:
        gate.wait(10)
        if records[0] == "broken":
            raise ValueError("cannot be encoded")
        return len(records), False

    export = SpanExport(send)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.telemetry.traces.span_export.BATCH_RECORDS", 1)
        for record in ("broken", "refused"):
            export.append(record)  # type: ignore[arg-type]
        gate.set()
        await asyncio.to_thread(export.close)
    assert export.counts() == {"exported": 0, "lost": {"failed": 1, "refused": 1}}


def test_without_the_option_nothing_of_opentelemetry_is_imported() -> None:
    code = "import sys, edge.server.main, edge.server.worker; print([n for n in sys.modules if 'opentelemetry' in n])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
