"""What the tests of the Messages codec share: Anthropic's own parameters as a judge, and a request sent past it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from judges import anthropic_faults

from glassway.pipeline.call import Call
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

Sent = tuple[dict[str, Any], dict[str, str]]


def _call_of(request: dict[str, Any]) -> Call:
    full = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "x"}]} | request
    return Call.start(ChatRequest.model_validate(full), clock=FakeClock())


def _sent(request: dict[str, Any]) -> Sent:
    call = _call_of(request)
    body = json.loads(AnthropicCodec().encode(call).content)
    assert anthropic_faults(body) == []
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


@pytest.fixture
def faults() -> Callable[..., list[str]]:
    """`faults(body, beta=False)`: what the SDK's parameters say against a body; unknown keys are faults."""
    return anthropic_faults


@pytest.fixture
def call_of() -> Callable[[dict[str, Any]], Call]:
    """A call with a request in OpenAI's shape; model and messages have defaults."""
    return _call_of


@pytest.fixture
def sent() -> Callable[[dict[str, Any]], Sent]:
    """The body of such a request, judged, and what was noted, as `parameter: action`."""
    return _sent
