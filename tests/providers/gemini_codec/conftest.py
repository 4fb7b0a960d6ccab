"""What the tests of the Gemini codec share: Google's own types as a judge, and a request sent past it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from judges import gemini_faults

from glassway.pipeline.call import Call
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.gemini import GeminiCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

Sent = tuple[dict[str, Any], dict[str, str]]
Json = dict[str, Any]


def _call_of(request: Json, **options: Any) -> Call:
    full = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]} | request
    return Call.start(ChatRequest.model_validate(full), clock=FakeClock(), **options)


def _sent(request: Json) -> Sent:
    call = _call_of(request)
    body = json.loads(GeminiCodec().encode(call).content)
    assert gemini_faults(body) == []
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


@pytest.fixture
def faults() -> Callable[[Json], list[str]]:
    """`faults(body)`: what the SDK's types say against a body; unknown keys are faults."""
    return gemini_faults


@pytest.fixture
def call_of() -> Callable[..., Call]:
    """A call with a request in OpenAI's shape; model and messages have defaults."""
    return _call_of


@pytest.fixture
def sent() -> Callable[[Json], Sent]:
    """The body of such a request, judged, and what was noted, as `parameter: action`."""
    return _sent
