"""What the tests of the Messages codec share: Anthropic's own parameters as a judge, and a request sent past it."""

from __future__ import annotations

import json
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import anthropic.types
import anthropic.types.beta
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from glassway.pipeline.call import Call
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLING = ("temperature", "top_p", "top_k")
"""The newest SDK no longer declares them; older models take them."""

Sent = tuple[dict[str, Any], dict[str, str]]


@cache
def _validator(stream: bool, beta: bool) -> Draft202012Validator:
    module = anthropic.types.beta.message_create_params if beta else anthropic.types.message_create_params
    params = module.MessageCreateParamsStreaming if stream else module.MessageCreateParamsNonStreaming
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's types have fields that no JSON schema can say
        schema = TypeAdapter(params).json_schema()
    for definition in (schema, *schema["$defs"].values()):
        if "properties" in definition:
            definition["additionalProperties"] = False
    return Draft202012Validator(schema)


def _faults(body: dict[str, Any], *, beta: bool = False) -> list[str]:
    declared = {name: value for name, value in body.items() if name not in SAMPLING}
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in _validator(bool(body.get("stream")), beta).iter_errors(declared)
    ]


def _call_of(request: dict[str, Any]) -> Call:
    full = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "x"}]} | request
    return Call.start(ChatRequest.model_validate(full), clock=FakeClock())


def _sent(request: dict[str, Any]) -> Sent:
    call = _call_of(request)
    body = json.loads(AnthropicCodec().encode(call).content)
    assert _faults(body) == []
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


@pytest.fixture
def faults() -> Callable[..., list[str]]:
    """`faults(body, beta=False)`: what the SDK's parameters say against a body; unknown keys are faults."""
    return _faults


@pytest.fixture
def call_of() -> Callable[[dict[str, Any]], Call]:
    """A call with a request in OpenAI's shape; model and messages have defaults."""
    return _call_of


@pytest.fixture
def sent() -> Callable[[dict[str, Any]], Sent]:
    """The body of such a request, judged, and what was noted, as `parameter: action`."""
    return _sent
