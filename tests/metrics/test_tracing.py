"""Traces as a collector gets them: over OTLP, from a server in processes of its own."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.metrics import eventually
from tests.support.server import DEADLINE, Server, run

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes spans as a collector of OpenTelemetry does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        spans, services = self.spans, self.services

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        services.add(attributes(resource.resource)["service.name"])
                        for scope in resource.scope_spans:
                            spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def attributes(of: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.mark.usefixtures("web_server")
def test_a_request_is_a_span_of_the_callers_trace_and_its_calls_of_the_store_are_below_it(
    tmp_path: Path, collector: Collector
) -> None:
    with Server(tmp_path, tracing="true", env=collector.env) as server:
        answer = httpx.post(
            f"{server.url}/v2/queues/q/messages",
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine-1"},
            json={"messages": [{"body": 1}]},
            timeout=DEADLINE,
        )
        assert answer.status_code == 201
        server.stop()  # sends what is left
    [request] = collector.named("POST /v2/queues/{queue}/messages")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    said = attributes(request)
    assert said["http.response.status_code"] == 201 and said["queueing.request_id"] == "mine-1"
    [call] = collector.named("messages.post")
    assert (call.trace_id, call.parent_span_id) == (request.trace_id, request.span_id)
    assert attributes(call)["db.system.name"] == "sqlite"
    assert request.start_time_unix_nano <= call.start_time_unix_nano
    assert call.end_time_unix_nano <= request.end_time_unix_nano
    assert collector.services == {"queueing"}
    # Nobody asked for what the sweeper does.
    assert not collector.named("collect") and not collector.named("piles")


def test_a_request_without_a_trace_begins_one_and_each_has_its_own(
    tmp_path: Path, collector: Collector
) -> None:
    with Server(tmp_path, tracing="true", env=collector.env) as server:
        for given in ({}, {}, {"traceparent": "00-zero-zero-01"}):
            httpx.get(f"{server.url}/v2/queues/q/stats", headers=given, timeout=DEADLINE)
        eventually(lambda: len(collector.named("messages.stats")) == 3)
        server.stop()
    requests = collector.named("GET /v2/queues/{queue}/stats")
    assert len({span.trace_id for span in requests}) == 3
    assert not any(span.parent_span_id for span in requests)


def test_a_trace_that_its_caller_does_not_keep_is_not_sent(
    tmp_path: Path, collector: Collector
) -> None:
    with Server(tmp_path, tracing="true", env=collector.env) as server:
        url = f"{server.url}/v2/queues/q/stats"
        httpx.get(url, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"}, timeout=DEADLINE)
        httpx.get(url, timeout=DEADLINE)
        server.stop()
    [span] = collector.named("GET /v2/queues/{queue}/stats")
    assert span.trace_id.hex() != TRACE


def test_a_collector_that_is_away_fails_no_request(tmp_path: Path) -> None:
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    nowhere["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
    with Server(tmp_path, tracing="true", env=nowhere) as server:
        for _ in range(3):
            assert httpx.get(f"{server.url}/v2/ping", timeout=DEADLINE).status_code == 204
        server.stop()


def test_packages_that_are_missing_are_named_with_the_command_that_brings_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda n, *of: None if n == 'opentelemetry.sdk' else find(n, *of)\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    done = run("serve", directory=tmp_path, env=env, bind="127.0.0.1:0", tracing="true")
    assert done.returncode == 1
    assert done.stderr == "queueing: tracing: needs OpenTelemetry: pip install 'queueing[otel]'\n"


def test_without_traces_nothing_of_them_is_loaded() -> None:
    program = "import sys, queueing.wsgi; assert 'opentelemetry' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
