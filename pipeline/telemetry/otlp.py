"""Traces by OTLP over HTTP: in one call, or by the standard variables."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError, MissingExtraError
from .telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler

logger = logging.getLogger("glassway")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def setup(
    endpoint: str | None = None,
    *,
    service_name: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 5.0,
    telemetry: Telemetry | None = None,
    as_global: bool = True,
) -> Telemetry:
    """Export traces to `endpoint`, such as `http://127.0.0.1:4318`; None takes it from the `OTEL_EXPORTER_OTLP_*` variables.

    `/v1/traces` is added to an endpoint without a path. `timeout_s` is the longest that one export may take, retries
    included. `telemetry` None means the process's own, so pipelines made before take part.
    `as_global`: also serve as OpenTelemetry's tracer provider, if the application has set none, so that spans of its own
    code are exported too. Needs the extra `otlp` (`MissingExtraError`). Call it once, at start.

    Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    target = telemetry if telemetry is not None else Telemetry.default()
    exporter = _exporter(endpoint, headers, timeout_s)
    from opentelemetry.sdk.resources import Resource

    from .spans import default_resource

    resource = default_resource()
    if service_name is not None:
        resource = resource.merge(Resource({"service.name": service_name}))
    target.send_traces(span_exporters=[exporter], resource=resource, sampler=_sampler())
    if as_global:
        target.serve_as_provider()
    return target


def configured_by_environment(telemetry: Telemetry) -> None:
    """`setup`, if the standard variables ask for it and the application has no tracer provider of its own."""
    environ = os.environ
    wanted = any(environ.get(name) for name in _ENDPOINTS) or environ.get("OTEL_TRACES_EXPORTER") == "otlp"
    refused = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if not wanted or refused or telemetry.has_global_provider():
        return
    try:
        setup(telemetry=telemetry)
    except MissingExtraError as missing:
        logger.warning("The environment asks for OTLP traces, but none are sent. %s", missing)


def _exporter(endpoint: str | None, headers: Mapping[str, str] | None, timeout_s: float) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise MissingExtraError("Exporting traces by OTLP", "otlp") from error
    return OTLPSpanExporter(
        endpoint=_with_path(endpoint) if endpoint else None,
        headers=dict(headers) if headers else None,
        timeout=timeout_s,
        compression=Compression.Gzip,
    )


def _with_path(endpoint: str) -> str:
    scheme, separator, rest = endpoint.partition("://")
    if not separator or scheme not in ("http", "https"):
        raise ConfigError(f"endpoint: expected an http:// or https:// URL, found {endpoint!r}.")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}/{path or 'v1/traces'}"


def _sampler() -> Sampler | None:
    """What `OTEL_TRACES_SAMPLER` says; the SDK reads it for its own provider, and has no other public way."""
    if not os.environ.get("OTEL_TRACES_SAMPLER"):
        return None
    from opentelemetry.sdk.trace import TracerProvider

    return TracerProvider(shutdown_on_exit=False).sampler
