"""Content is shown only when asked for, after redaction, and within its size."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassway.middlewares import Tracing
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply
from glassway.pipeline.telemetry import names
from glassway.pipeline.telemetry.content import to_json
from glassway.testing import FakeProvider, Scripted, scripted_tool_call
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-0123456789"


def hide(text: str) -> str:
    return text.replace(CANARY, "[hidden]")


def everything(recorded: Any) -> str:
    parts = [
        (s.name, dict(s.attributes), s.status.description, [(e.name, dict(e.attributes)) for e in s.events])
        for s in recorded.spans
    ]
    return repr(parts) + repr(recorded.metrics)


def with_canary_everywhere(ask: Any, stream: bool) -> Any:
    request = ask(
        stream=stream,
        stop=[CANARY],
        user=CANARY,
        tools=[{"type": "function", "function": {"name": "f", "description": CANARY, "parameters": {"x": CANARY}}}],
    )
    messages = [
        {"role": "system", "content": f"be {CANARY}"},
        {
            "role": "user",
            "name": CANARY,
            "content": [{"type": "text", "text": CANARY}, {"type": "image_url", "image_url": {"url": CANARY}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": CANARY}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": CANARY},
    ]
    return type(request).model_validate(request.to_dict() | {"messages": messages})


ANSWER = Scripted(text=f"told {CANARY}", tool_calls=[scripted_tool_call("f", CANARY)])


@pytest.mark.parametrize("stream", [False, True])
async def test_content_is_off_by_default(recorded: Any, ask: Any, stream: bool) -> None:
    stack = Pipeline([Tracing()], FakeProvider([ANSWER]), telemetry=recorded.telemetry)
    reply = await stack.send(with_canary_everywhere(ask, stream))
    if stream:
        await reply.response()
    assert CANARY not in everything(recorded)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("capture", ["span", "event", "both"])
async def test_a_secret_is_redacted_before_every_sink(
    recorded: Any, ask: Any, stream: bool, capture: Any, caplog: Any
) -> None:
    stack = Pipeline([Tracing(capture=capture, redact=hide)], FakeProvider([ANSWER]), telemetry=recorded.telemetry)
    options = CallOptions(metadata={"conversation_id": CANARY}, tags=(CANARY,))
    reply = await stack.send(with_canary_everywhere(ask, stream), options)
    if stream:
        await reply.response()
    shown = everything(recorded)
    assert CANARY not in shown + caplog.text
    assert "told [hidden]" in shown


async def test_a_secret_in_an_error_s_text_is_redacted(recorded: Any, ask: Any) -> None:
    provider = FakeProvider([BadRequestError(f"cannot read {CANARY}")])
    with pytest.raises(BadRequestError):
        await Pipeline([Tracing(redact=hide)], provider, telemetry=recorded.telemetry).send(ask())
    assert "cannot read [hidden]" in everything(recorded)
    assert CANARY not in everything(recorded)


async def test_a_redaction_that_fails_loses_the_trace_and_shows_nothing(recorded: Any, ask: Any, caplog: Any) -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    stack = Pipeline([Tracing(capture="span", redact=broken)], FakeProvider(), telemetry=recorded.telemetry)
    assert (await stack.send(ask(CANARY))).text
    assert recorded.spans == ()
    assert recorded.telemetry.trace_counts().failed == 1
    assert CANARY not in caplog.text
    assert "ValueError" in caplog.text


async def test_messages_are_written_in_the_convention_s_schema(recorded: Any, ask: Any) -> None:
    stack = Pipeline([Tracing(capture="span")], FakeProvider([ANSWER]), telemetry=recorded.telemetry)
    await stack.send(with_canary_everywhere(ask, False))
    attributes = recorded.spans[0].attributes
    sent = json.loads(attributes[names.INPUT_MESSAGES.name])
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert sent[1]["parts"][1] == {"type": "uri", "modality": "image", "uri": CANARY}
    assert sent[2]["parts"] == [{"type": "tool_call", "id": "1", "name": "f", "arguments": CANARY}]
    assert sent[3]["parts"] == [{"type": "tool_call_response", "id": "1", "response": CANARY}]
    [answer] = json.loads(attributes[names.OUTPUT_MESSAGES.name])
    assert answer["role"] == "assistant"
    assert answer["finish_reason"] == "stop"
    assert_conformant(recorded.spans)


async def test_pictures_are_told_and_not_copied(recorded: Any, ask: Any) -> None:
    picture = "data:image/png;base64," + "A" * 50_000
    request = ask()
    request = type(request).model_validate(
        request.to_dict()
        | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]}]}
    )
    await Pipeline([Tracing(capture="span")], FakeProvider(), telemetry=recorded.telemetry).send(request)
    [message] = json.loads(recorded.spans[0].attributes[names.INPUT_MESSAGES.name])
    assert message["parts"] == [
        {
            "type": "blob",
            "modality": "image",
            "mime_type": "image/png",
            "content": "",
            "omitted_characters": len(picture),
        }
    ]


@given(texts=st.lists(st.text(max_size=3000), max_size=20), limit=st.integers(256, 4000))
def test_what_is_too_long_is_cut_and_stays_json(texts: list[str], limit: int) -> None:
    items = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts]
    text = to_json(items, None, limit)
    assert len(text.encode()) <= limit
    assert len(json.loads(text)) <= len(items)


def test_a_secret_at_the_cut_is_redacted_first() -> None:
    items = [{"role": "user", "parts": [{"type": "text", "content": "x" * 100 + CANARY + "y" * 2000}]}]
    assert "sk-can" not in to_json(items, hide, 300)


async def test_the_convention_s_variable_switches_it_on(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, shown in (("SPAN_ONLY", True), ("true", True), ("NO_CONTENT", False), ("nonsense", False)):
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
        with record_telemetry() as recorded:
            await Pipeline([Tracing()], FakeProvider(), telemetry=recorded.telemetry).send(ask())
        assert (names.INPUT_MESSAGES.name in recorded.spans[0].attributes) == shown


async def test_a_refused_call_shows_what_was_asked(recorded: Any, ask: Any) -> None:
    async def refuse(call: Call, call_next: Handler) -> Reply:
        raise BadRequestError("no")

    with pytest.raises(BadRequestError):
        await Pipeline([Tracing(capture="span"), refuse], FakeProvider(), telemetry=recorded.telemetry).send(ask("why"))
    logging.getLogger("test").debug("read back")
    assert "why" in recorded.spans[0].attributes[names.INPUT_MESSAGES.name]
    assert names.OUTPUT_MESSAGES.name not in recorded.spans[0].attributes
