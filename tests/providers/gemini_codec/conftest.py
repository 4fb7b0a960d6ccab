"""What the tests of the Gemini codec share: Google's own types as a judge, and a request sent past it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.genai import types
from pydantic import TypeAdapter, ValidationError

from glassway.pipeline.call import Call
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.gemini import GeminiCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

Sent = tuple[dict[str, Any], dict[str, str]]
Json = dict[str, Any]

TOP: dict[str, Any] = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "safetySettings": list[types.SafetySetting],
    "generationConfig": types.GenerationConfig,
    "cachedContent": str,
    "serviceTier": types.ServiceTier,
    "labels": dict[str, str],
    "store": bool,
}
"""The body has no type of its own in the SDK: its fields have. Source: google/genai/models.py, `_GenerateContentConfig_to_mldev`."""

LATE = {"thinkingConfig", "imageConfig"}
"""Fields of `generationConfig` that the SDK has on its own class of the configuration."""


def _faults(body: Json) -> list[str]:
    """Unknown names are faults; so are wrong types. The SDK's models forbid extra fields, and read values as it would."""
    found = [f"unknown field {name}" for name in body if name not in TOP]
    for name in body.keys() & TOP.keys():
        value = body[name]
        if name == "generationConfig":
            found += _problems(types.GenerateContentConfig, {key: value[key] for key in value.keys() & LATE})
            value = {key: one for key, one in value.items() if key not in LATE}
        found += _problems(TOP[name], value)
    return found


def _problems(kind: Any, value: Any) -> list[str]:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


def _call_of(request: Json, **options: Any) -> Call:
    full = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]} | request
    return Call.start(ChatRequest.model_validate(full), clock=FakeClock(), **options)


def _sent(request: Json) -> Sent:
    call = _call_of(request)
    body = json.loads(GeminiCodec().encode(call).content)
    assert _faults(body) == []
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


@pytest.fixture
def faults() -> Callable[[Json], list[str]]:
    """`faults(body)`: what the SDK's types say against a body; unknown keys are faults."""
    return _faults


@pytest.fixture
def call_of() -> Callable[..., Call]:
    """A call with a request in OpenAI's shape; model and messages have defaults."""
    return _call_of


@pytest.fixture
def sent() -> Callable[[Json], Sent]:
    """The body of such a request, judged, and what was noted, as `parameter: action`."""
    return _sent
