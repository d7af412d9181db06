"""OpenTelemetry traces: a span for each request, and one below it for each call of the store that it makes.

Where they go, and how many, is said as everywhere: by OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and so
on. Nothing is loaded unless `tracing` is on.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from queueing import __version__
from queueing.api.request import Request
from queueing.config import Settings
from queueing.core.errors import SetupError, StorageUnavailable
from queueing.storage.instrumented import Verb

if TYPE_CHECKING:
    import falcon

KEY: Final = "queueing.span"  # in a request's WSGI environment


def check_installed(settings: Settings) -> None:
    """:raises SetupError: traces are asked for, and OpenTelemetry is not installed"""
    wanted = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
    if settings.tracing and not all(map(_is_there, wanted)):
        raise SetupError("tracing: needs OpenTelemetry: pip install 'queueing[otel]'")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # nor is what it would be in


class Tracer:
    """Traces of one process; it sends them by a thread. Make it after a fork.

    Is a middleware of the app; `around` goes around the store's verbs.
    """

    def __init__(self, engine: str) -> None:
        from opentelemetry import context, trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        own = {"service.version": __version__}
        if "OTEL_SERVICE_NAME" not in os.environ:
            own["service.name"] = "queueing"
        self._provider = TracerProvider(
            resource=Resource.create({**own}), shutdown_on_exit=False
        )  # `close` does it
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("queueing", __version__)
        self._take_over = TraceContextTextMapPropagator().extract
        self._engine = engine
        self._context, self._trace = context, trace

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    # Requests

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        env, trace = req.env, self._trace
        names = (("traceparent", "HTTP_TRACEPARENT"), ("tracestate", "HTTP_TRACESTATE"))
        above = self._take_over({name: env[key] for name, key in names if key in env})
        span = self._tracer.start_span(req.method, above, trace.SpanKind.SERVER)
        env[KEY] = span, self._context.attach(trace.set_span_in_context(span, above))

    def process_response(
        self, req: Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        span, token = req.env.get(KEY, (None, None))
        if span is None:
            return  # Falcon refuses some methods before `process_request`
        self._context.detach(token)
        if span.is_recording():
            self._describe(span, req, int(str(resp.status)[:3]))
        span.end()

    def _describe(self, span: Any, req: Request, status: int) -> None:
        span.set_attributes(
            {
                "http.request.method": req.method,
                "url.path": req.path,
                "http.response.status_code": status,
                "queueing.project": req.project,
                "queueing.request_id": req.reference,
            }
        )
        if req.uri_template:
            span.update_name(f"{req.method} {req.uri_template}")
            span.set_attribute("http.route", req.uri_template)
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)

    # The store

    def around(self, operation: str, verb: Verb) -> Verb:
        """A span while it runs, within that of a request: see `Around`."""
        trace, tracer = self._trace, self._tracer
        attributes = {"db.system.name": self._engine, "db.operation.name": operation}

        def call(*arguments: Any, **named: Any) -> Any:
            if not trace.get_current_span().is_recording():
                return verb(*arguments, **named)  # of the sweeper, or not sampled
            with tracer.start_as_current_span(
                operation,
                kind=trace.SpanKind.CLIENT,
                attributes=attributes,
                record_exception=False,  # most of what a store raises is an answer
                set_status_on_exception=False,
            ) as span:
                try:
                    return verb(*arguments, **named)
                except StorageUnavailable as error:
                    span.set_status(trace.StatusCode.ERROR, str(error))
                    raise

        return call


def tracer(settings: Settings) -> Tracer | None:
    """:raises SetupError: OpenTelemetry is not installed"""
    if not settings.tracing:
        return None
    check_installed(settings)
    engine = settings.storage.partition(":")[0].partition("+")[0]
    return Tracer({"rediss": "redis", "unix": "redis"}.get(engine, engine))
