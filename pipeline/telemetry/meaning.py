"""What the Tracing stage notes on a call's trace: the request's parameters, the answer's marks and, if captured, both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import GuardrailViolation
from . import names
from .policy import Capture, TracePolicy

if TYPE_CHECKING:
    from ..call import Call
    from ..outcome import Outcome
    from ..types import Request, Response
    from .schema import Attribute

_PARAMETERS: tuple[tuple[str, Attribute], ...] = (
    ("temperature", names.TEMPERATURE),
    ("top_p", names.TOP_P),
    ("top_k", names.TOP_K),
    ("seed", names.SEED),
    ("output_limit", names.MAX_TOKENS),
    ("frequency_penalty", names.FREQUENCY_PENALTY),
    ("presence_penalty", names.PRESENCE_PENALTY),
    ("reasoning_effort", names.REASONING_LEVEL),
)
_FORMATS = {"json_schema": "json", "json_object": "json", "text": "text"}

CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURES: dict[str, Capture] = {"span_only": "span", "event_only": "event", "span_and_event": "both", "true": "span"}


class Meaning:
    """Filled in on the call's path, so nothing here costs more than reading fields; attributes are made of it later."""

    __slots__ = ("_state", "attributes", "capture", "policy", "request", "response")

    def __init__(self, policy: TracePolicy, call: Call, conversation: str | None) -> None:
        self.policy = policy
        self.capture = policy.capture or captured_by_environment()
        self.attributes = _of_request(call.request)
        if conversation is not None:
            self.attributes[names.CONVERSATION.name] = conversation
        for key in policy.metadata:
            if key in call.options.metadata:
                self.attributes[names.METADATA.name.replace("*", key)] = call.options.metadata[key]
        self._state = call.state
        self.request: Request | None = None
        if self.capture != "off":
            self.request = call.request
            if stops := getattr(call.request, "stop_sequences", ()):
                self.attributes[names.STOP.name] = list(stops)
        self.response: Response | None = None

    def ended(self, outcome: Outcome) -> None:
        """Note how the reply ended. Shows the request without what a guardrail took out, and nothing that one refused."""
        if self.request is not None:
            refused = isinstance(outcome.error, GuardrailViolation)
            self.request = None if refused else self._state.request or self.request
        response = outcome.response
        if response is None:
            return
        self.attributes.update(_of_response(response))
        if self.capture != "off":
            self.response = response


def captured_by_environment() -> Capture:
    """What the conventions' variable asks for; `off` when it is not set or not understood.

    Source: https://github.com/open-telemetry/opentelemetry-python-contrib/tree/main/util/opentelemetry-util-genai
    """
    return _CAPTURES.get(os.environ.get(CAPTURE_VARIABLE, "").strip().lower(), "off")


def _of_request(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, attribute in _PARAMETERS:
        value = getattr(request, field, None)
        if value is not None:
            found[attribute.name] = value
    count = getattr(request, "n", None)
    if count is not None and count != 1:
        found[names.CHOICE_COUNT.name] = count
    form = getattr(request, "response_format", None)
    kind = names.OUTPUT_TYPES.get(request.operation) or _FORMATS.get(getattr(form, "type", ""))
    if kind is not None:
        found[names.OUTPUT_TYPE.name] = kind
    return found


def _of_response(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, attribute in (("id", names.RESPONSE_ID), ("model", names.RESPONSE_MODEL)):
        value = getattr(response, field, None)
        if value:
            found[attribute.name] = value
    choices = getattr(response, "choices", ())
    if choices:
        found[names.FINISH_REASONS.name] = [choice.finish_reason or "error" for choice in choices]
    return found
