"""Chunks joined are the response that a unary call would have returned."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from glassway.pipeline.types import (
    ChatChunk,
    ChatResponse,
    Choice,
    ChoiceDelta,
    Delta,
    FunctionCall,
    FunctionDelta,
    Message,
    ReasoningBlock,
    ReasoningDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    assemble_chat,
)

text = st.text(max_size=12)
some_text = st.text(min_size=1, max_size=12)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    fields: dict[str, Any] = {"role": "assistant", "content": draw(some_text)}
    if draw(st.booleans()):
        fields["reasoning_content"] = draw(some_text)
    if draw(st.booleans()):
        fields["refusal"] = draw(some_text)
    if calls := draw(st.lists(st.tuples(some_text, some_text), max_size=3)):
        fields["tool_calls"] = tuple(
            ToolCall(id=f"call_{i}", function=FunctionCall(name=name, arguments=args))
            for i, (name, args) in enumerate(calls)
        )
    if blocks := draw(st.lists(st.tuples(some_text, some_text), max_size=3)):
        fields["reasoning_blocks"] = tuple(
            ReasoningBlock(type="thinking", index=i, text=t, signature=s) for i, (t, s) in enumerate(blocks)
        )
    return Message(**fields)


@st.composite
def responses(draw: st.DrawFn) -> ChatResponse:
    tokens = [{"token": token} for token in draw(st.lists(some_text, max_size=4))]
    choices = tuple(
        Choice(
            index=i,
            message=draw(messages()),
            finish_reason="stop",
            native_finish_reason="stop",
            **({"logprobs": {"content": tokens}} if tokens else {}),
        )
        for i in range(draw(st.integers(1, 3)))
    )
    return ChatResponse(
        id="r", model="m", created=7, choices=choices, usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    )


def pieces(draw: st.DrawFn, whole: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def deltas_of(draw: st.DrawFn, message: Message) -> list[Delta]:
    """The message in fragments, each kind in order, the kinds one after the other."""
    deltas = [Delta(role="assistant")]
    for name in ("reasoning_content", "content", "refusal"):
        if (value := getattr(message, name)) is not None:
            deltas += [Delta(**{name: piece}) for piece in pieces(draw, value)]
    for block in message.reasoning_blocks or ():
        deltas += [
            Delta(reasoning_blocks=(ReasoningDelta(block.index or 0, text=piece),))
            for piece in pieces(draw, block.text or "")
        ]
        deltas.append(Delta(reasoning_blocks=(ReasoningDelta(block.index or 0, signature=block.signature),)))
    for i, call in enumerate(message.tool_calls or ()):
        assert call.function is not None
        deltas.append(Delta(tool_calls=(ToolCallDelta(i, call.id, "function", FunctionDelta(call.function.name)),)))
        deltas += [
            Delta(tool_calls=(ToolCallDelta(i, function=FunctionDelta(arguments=piece)),))
            for piece in pieces(draw, call.function.arguments)
        ]
    return deltas


@st.composite
def chunked(draw: st.DrawFn) -> tuple[ChatResponse, list[ChatChunk]]:
    response = draw(responses())
    queues = {}
    for choice in response.choices:
        deltas = [ChoiceDelta(choice.index, delta) for delta in deltas_of(draw, choice.message)]
        deltas += [
            ChoiceDelta(choice.index, logprobs={"content": [token], "refusal": None})
            for token in (choice.logprobs or {}).get("content", ())
        ]
        queues[choice.index] = [*deltas, ChoiceDelta(choice.index, finish_reason="stop", native_finish_reason="stop")]
    chunks = []
    while any(queues.values()):
        index = draw(st.sampled_from([index for index, queue in queues.items() if queue]))
        chunks.append(ChatChunk("r", "m", 7, (queues[index].pop(0),)))
    return response, [*chunks, ChatChunk("r", "m", 7, usage=response.usage)]


def plain(response: ChatResponse) -> dict[str, Any]:
    shown = response.to_dict()
    for choice in shown["choices"]:
        if "logprobs" in choice:
            choice["logprobs"].pop("refusal", None)
    return shown


@given(chunked())
def test_any_cutting_gives_the_unary_response_back(both: tuple[ChatResponse, list[ChatChunk]]) -> None:
    response, chunks = both
    assert plain(assemble_chat(chunks)) == plain(response)


def joined(*parts: ChoiceDelta, **chunk: Any) -> ChatResponse:
    return assemble_chat([ChatChunk(choices=(part,), **chunk) for part in parts])


def test_nothing_is_an_empty_response() -> None:
    response = assemble_chat([])
    assert (response.choices, response.text, response.finish_reason, response.usage) == ((), "", None, None)


def test_a_cut_answer_has_no_finish() -> None:
    response = joined(ChoiceDelta(delta=Delta(content="par")))
    assert (response.text, response.finish_reason) == ("par", None)


def test_text_that_never_came_is_none_and_empty_text_is_empty() -> None:
    assert joined(ChoiceDelta(delta=Delta(role="assistant"))).message.content is None
    assert joined(ChoiceDelta(delta=Delta(content=""))).message.content == ""


def test_logprobs_that_are_sometimes_null_lose_nothing() -> None:
    parts = [{"content": None, "refusal": None}, {"content": [1], "refusal": None}, {"content": None}, {"content": [2]}]
    response = joined(*(ChoiceDelta(logprobs=part) for part in parts))
    assert response.choices[0].logprobs == {"content": [1, 2], "refusal": None}


def test_audio_is_joined_and_its_nulls_ignored() -> None:
    parts: list[dict[str, Any]] = [
        {"id": "a", "data": None, "transcript": "he"},
        {"data": "AA", "transcript": "y"},
        {"data": "BB", "expires_at": 5},
    ]
    response = joined(*(ChoiceDelta(delta=Delta(audio=part)) for part in parts))
    assert response.message.audio == {"id": "a", "data": "AABB", "transcript": "hey", "expires_at": 5}


def test_unknown_fields_of_every_level_are_kept() -> None:
    call = ToolCallDelta(0, "c", "function", FunctionDelta("f", "{}"), {"call_extra": 1})
    block = ReasoningDelta(0, "redacted", data="xyz", id="b", provider="p", extra={"block_extra": 2})
    delta = Delta(
        tool_calls=(call,), reasoning_blocks=(block,), annotations=({"url": "u"},), extra={"message_extra": 3}
    )
    shown = joined(ChoiceDelta(delta=delta, extra={"choice_extra": 4}), extra={"chunk_extra": 5}).to_dict()
    [choice] = shown["choices"]
    assert (shown["chunk_extra"], choice["choice_extra"], choice["message"]["message_extra"]) == (5, 4, 3)
    assert choice["message"]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "call_extra": 1}
    ]
    assert choice["message"]["reasoning_blocks"] == [
        {"type": "redacted", "index": 0, "data": "xyz", "id": "b", "provider": "p", "block_extra": 2}
    ]
    assert choice["message"]["annotations"] == [{"url": "u"}]


def test_the_last_usage_and_the_first_id_win() -> None:
    chunks = [
        ChatChunk(),
        ChatChunk("a", "m", usage=Usage(prompt_tokens=1)),
        ChatChunk("b", "n", 3, usage=Usage(prompt_tokens=2)),
    ]
    response = assemble_chat(chunks)
    assert (response.id, response.model, response.created) == ("a", "m", 3)
    assert response.usage == Usage(prompt_tokens=2)


def test_what_a_chunk_says_of_itself() -> None:
    chunk = ChatChunk(choices=(ChoiceDelta(delta=Delta(content="t", reasoning_content="r"), finish_reason="stop"),))
    assert (chunk.text, chunk.reasoning, chunk.finish_reason, chunk.has_content) == ("t", "r", "stop", True)
    empty = ChatChunk(choices=(ChoiceDelta(delta=Delta(role="assistant", content="")),))
    assert (empty.text, empty.reasoning, empty.finish_reason, empty.has_content) == ("", "", None, False)
    assert (ChatChunk().text, ChatChunk().reasoning, ChatChunk().finish_reason, ChatChunk().has_content) == (
        "",
        "",
        None,
        False,
    )
