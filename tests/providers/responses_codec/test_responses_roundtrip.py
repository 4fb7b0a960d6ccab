"""Requests to Responses, read as canonical ones and written again; and answers that go back into the next request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.types import ChatRequest, Message
from glassway.providers.codecs.openai import OpenAICodec
from glassway.providers.codecs.responses import ResponsesCodec
from glassway.providers.codecs.responses_inbound import canonical_request

CALL = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
PROMPTS = ("responses-document-4", "responses-document-6")
"""Two requests name a stored prompt instead of an input, which a canonical request cannot say."""


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """A body without differences that mean nothing to the vendor, by its own reference:

    * `null`, `stream: false` and an empty `tools` are what their absence means;
    * an `input` of text is one message of the user; an item without a `type` is a `message`;
    * an image without a `detail` has `auto`.
    """
    body = {name: value for name, value in without_null(body).items() if name not in ("stream", "tools") or value}
    if isinstance(body["input"], str):
        body["input"] = [{"role": "user", "content": body["input"]}]
    for item in body["input"]:
        item.setdefault("type", "message")
        for part in item["content"] if isinstance(item.get("content"), list) else ():
            if part["type"] == "input_image":
                part.setdefault("detail", "auto")
    return body


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_null(one) for name, one in value.items() if one is not None}
    return [without_null(one) for one in value] if isinstance(value, list) else value


def test_a_recorded_request_is_sent_again_as_it_was(recorded_request: Any, encoded: Any) -> None:
    if recorded_request.id.endswith(PROMPTS):
        with pytest.raises(BadRequestError, match="input: expected"):
            canonical_request(recorded_request.request)
        return
    request = canonical_request(recorded_request.request, recorded_request.vendor)
    body, notes = encoded(request, recorded_request.vendor, model=recorded_request.request["model"])
    assert normal(body) == normal(recorded_request.request)
    assert set(notes) <= {"max_completion_tokens"}


def test_a_recorded_request_survives_being_json_in_between(recorded_request: Any, encoded: Any) -> None:
    """The canonical request may cross a process: cache keys, replays, queues."""
    if recorded_request.id.endswith(PROMPTS):
        return
    request = canonical_request(recorded_request.request, recorded_request.vendor)
    again = ChatRequest.model_validate_json(json.dumps(request.to_dict()))
    assert encoded(again, recorded_request.vendor) == encoded(request, recorded_request.vendor)


def test_what_is_sent_is_what_the_client_would_send(recorded_request: Any, encoded: Any, faults: Any) -> None:
    """But for what was recorded with the same faults: some clients write items that the SDK's types lack."""
    if recorded_request.id.endswith(PROMPTS):
        return
    request = canonical_request(recorded_request.request, recorded_request.vendor)
    body, _ = encoded(request, recorded_request.vendor)
    if recorded_of_its_own(recorded_request.request, faults):
        assert [fault for fault in faults(body) if not fault.startswith("$.input: ")] == []
    else:
        assert faults(body) == []


def recorded_of_its_own(body: dict[str, Any], faults: Any) -> bool:
    """Whether the recorded input itself is not of the SDK's types."""
    return any(fault.startswith("$.input: ") for fault in faults(body))


def test_a_recorded_request_can_be_sent_as_a_chat_elsewhere(recorded_request: Any) -> None:
    if recorded_request.id.endswith(PROMPTS):
        return
    request = canonical_request(recorded_request.request, "openai")
    sent = json.loads(OpenAICodec().encode(Call.start(request)).content)
    assert "provider_blocks" not in json.dumps(sent["messages"])
    expected = [message.role for message in request.messages]
    if any(not isinstance(message.content, str) for message in request.messages if message.role == "tool"):
        expected.append("user")  # pictures among results, which a chat takes from the user only
    assert [message["role"] for message in sent["messages"]] == expected


# -- answers go back


def official_items(recorded: Any) -> list[Any]:
    """The items as the vendor wrote them: of a stream, each as its own event told it."""
    if not recorded.streaming:
        items: list[Any] = json.loads(recorded.body)["output"]
        return items
    events = [json.loads(line[6:]) for line in recorded.body.split(b"\n") if line.startswith(b"data: {")]
    end = next(place for place, event in enumerate(events) if event["type"] == "response.completed")
    return [event["item"] for event in events[:end] if event["type"] == "response.output_item.done"]


def answer(recorded: Any) -> Message:
    codec = ResponsesCodec(recorded.vendor)
    if not recorded.streaming:
        return codec.decode(CALL, recorded.body).message
    decoder = codec.decoder(CALL)
    return codec.assemble(CALL, [*decoder.feed(recorded.body), *decoder.finish()]).message


def without_logprobs(items: list[Any]) -> list[Any]:
    """Log-probabilities of an answer are not sent back: the vendor has no use for them."""
    for item in items:
        for part in item.get("content") or () if item["type"] == "message" else ():
            if part.get("logprobs"):
                del part["logprobs"]
    return items


@pytest.mark.parametrize("store", [None, False])
def test_an_answer_goes_back_as_the_vendor_wrote_it(recorded_answer: Any, encoded: Any, store: bool | None) -> None:
    """Ids, encrypted reasoning, phases, built-in tools and the order of items are all there."""
    said = without_null(without_logprobs(official_items(recorded_answer)))
    lost = [i for i in said if i["type"] == "reasoning" and not {"encrypted_content", "content"} & i.keys()]
    message = Message.model_validate_json(json.dumps(answer(recorded_answer).to_dict()))
    user = {"role": "user", "content": "x"}
    request = {"messages": [user, message.to_dict(), user], **({} if store is None else {"store": store})}
    body, notes = encoded(request, recorded_answer.vendor)
    back = without_null(body["input"][1:-1])
    if store is False and lost:
        assert notes["messages.reasoning"] == "dropped"
        assert not any("id" in item for item in back)
        assert [text_of(item) for item in back] == [
            text_of(i) for i in said if i["type"] in ("message", "function_call")
        ]
    else:
        assert [strip(item) for item in back] == [strip(item) for item in said]
        assert notes == {}


def text_of(item: dict[str, Any]) -> str:
    content = item.get("content", item.get("arguments"))
    return content if isinstance(content, str) else "".join(part["text"] for part in content or ())


def strip(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value != []}


def test_an_answer_of_responses_goes_on_as_a_chat(recorded_answer: Any) -> None:
    message = answer(recorded_answer)
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}, message.to_dict()]}
    call = Call.start(ChatRequest.model_validate(request))
    sent = json.loads(OpenAICodec().encode(call).content)["messages"][1]
    assert sent.keys() <= {"role", "content", "tool_calls", "refusal"}
    assert sent["content"] == message.content


# -- what only hand-written requests show


def test_a_flat_tool_and_its_choice_are_a_chats() -> None:
    body = {
        "model": "m",
        "input": "x",
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": {"type": "function", "name": "f"},
    }
    request = canonical_request(body)
    assert request.tools is not None
    assert request.tools[0].function is not None
    assert (request.tools[0].function.name, request.tools[0].function.strict) == ("f", None)
    assert request.tool_choice == {"type": "function", "function": {"name": "f"}}


def test_parameters_have_a_chats_names() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    request = canonical_request(
        {
            "model": "m",
            "input": "x",
            "instructions": "Be short.",
            "max_output_tokens": 99,
            "text": {"format": form, "verbosity": "low"},
            "reasoning": {"effort": "low", "summary": "auto"},
        }
    )
    assert [message.role for message in request.messages] == ["system", "user"]
    assert (request.output_limit, request.reasoning_effort, request.extra["verbosity"]) == (99, "low", "low")
    assert request.response_format is not None
    assert request.response_format.json_schema == {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert request.extra["reasoning"] == {"summary": "auto"}


def test_a_turn_with_reasoning_and_calls_is_one_message() -> None:
    items = [
        {"role": "user", "content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
    ]
    messages = canonical_request({"model": "m", "input": items}).messages
    assert [message.role for message in messages] == ["user", "assistant", "tool", "tool"]
    assert [call.id for call in messages[1].tool_calls or ()] == ["a", "b"]
    assert [block.data for block in messages[1].reasoning_blocks or ()] == ["E"]
    assert [(message.tool_call_id, message.text) for message in messages[2:]] == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"model": "m"}, "input"),
        ({"model": "m", "input": 3}, "input"),
        ({"model": "m", "input": ["x"]}, "input"),
        ({"model": "m", "input": [{"role": "robot", "content": "x"}]}, "messages.0"),
        ({"model": "m", "input": [{"type": "function_call"}]}, "input"),
        ({"model": "m", "input": "x", "tools": {}}, ""),
        ({"model": "m", "input": "x", "tools": "all"}, "tools"),
        ({"model": "m", "input": "x", "temperature": "hot"}, "temperature"),
    ],
)
def test_what_is_no_request_is_named(body: dict[str, Any], place: str) -> None:
    if not place:
        assert canonical_request(body).tools is None
        return
    with pytest.raises(BadRequestError, match=place):
        canonical_request(body)
