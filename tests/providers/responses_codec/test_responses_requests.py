"""A chat as Responses takes it: valid by the official types, and nothing that the caller asked for is lost unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.types import EmbeddingsRequest
from glassway.providers.codecs.responses import ResponsesCodec

USER = {"role": "user", "content": "Hello"}
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": PARAMETERS, "strict": True},
}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
ASKED: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALLED]}
SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}


def test_a_question(sent: Any) -> None:
    assert sent({}) == ({"model": "gpt-5-mini", "input": [USER]}, {})


def test_a_stream(sent: Any) -> None:
    body, notes = sent({"stream": True, "stream_options": {"include_usage": True}})
    assert (body["stream"], "stream_options" in body, notes) == (True, False, {})


def test_roles_keep_their_places(sent: Any) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, USER]
    assert sent({"messages": messages})[0]["input"] == messages


def test_parts(sent: Any) -> None:
    parts = [
        {"type": "text", "text": "t"},
        {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    body, notes = sent({"messages": [{"role": "user", "content": parts}]})
    assert body["input"][0]["content"] == [
        {"type": "input_text", "text": "t"},
        {"type": "input_image", "image_url": "https://example.invalid/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
        {"type": "input_file", "file_id": "file-1"},
    ]
    assert notes == {}


def test_parts_that_it_cannot_take_are_noted(sent: Any) -> None:
    parts = [
        {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "document", "source": {}},
    ]
    body, notes = sent({"messages": [{"role": "user", "content": parts}]})
    assert body["input"][0]["content"] == [{"type": "input_text", "text": "t"}]
    assert notes == {
        "cache_control": "dropped",
        "messages.content.input_audio": "dropped",
        "messages.content.document": "dropped",
    }


def test_tools_are_flat(sent: Any) -> None:
    body, notes = sent({"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False})
    assert body["tools"] == [{"type": "function", **TOOL["function"]}]
    assert (body["tool_choice"], body["parallel_tool_calls"], notes) == ("required", False, {})


def test_a_tool_that_does_not_say_is_not_strict(sent: Any) -> None:
    """In a chat it is not; Responses would take it as strict."""
    body, _ = sent({"tools": [{"type": "function", "function": {"name": "now"}}]})
    empty = {"type": "object", "properties": {}}
    assert body["tools"] == [{"type": "function", "name": "now", "parameters": empty, "strict": False}]


def test_built_in_tools_are_sent_as_they_are(sent: Any) -> None:
    tools = [
        {"type": "web_search", "search_context_size": "low"},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    body, notes = sent({"tools": tools})
    assert (body["tools"], notes) == (tools, {})


def test_a_custom_tool_is_flat(sent: Any) -> None:
    grammar = {"syntax": "lark", "definition": "start: /a/"}
    custom = {"name": "c", "format": {"type": "grammar", "grammar": grammar}}
    body, _ = sent({"tools": [{"type": "custom", "custom": custom}]})
    assert body["tools"] == [{"type": "custom", "name": "c", "format": {"type": "grammar", **grammar}}]


def test_a_chats_web_search_is_the_built_in_tool(sent: Any) -> None:
    place = {"type": "approximate", "approximate": {"city": "Berlin", "country": "DE"}}
    body, notes = sent({"web_search_options": {"search_context_size": "low", "user_location": place}})
    where = {"type": "approximate", "city": "Berlin", "country": "DE"}
    assert body["tools"] == [{"type": "web_search", "search_context_size": "low", "user_location": where}]
    assert notes == {"web_search_options": "renamed"}


@pytest.mark.parametrize(
    ("chat", "flat"),
    [
        ("none", "none"),
        ({"type": "function", "function": {"name": "add"}}, {"type": "function", "name": "add"}),
        ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
        ({"type": "web_search_preview"}, {"type": "web_search_preview"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "add"}}]},
            },
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "add"}]},
        ),
    ],
)
def test_the_choice_of_a_tool(sent: Any, chat: Any, flat: Any) -> None:
    assert sent({"tools": [TOOL], "tool_choice": chat})[0]["tool_choice"] == flat


def test_a_tools_result(sent: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png"}}
    results = [
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "1"}, image]},
    ]
    body, _ = sent({"messages": [USER, ASKED, *results]})
    assert body["input"][1] == {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":1}'}
    assert body["input"][2] == {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    assert [part["type"] for part in body["input"][3]["output"]] == ["input_text", "input_image"]


def test_a_custom_tools_call_and_result(sent: Any) -> None:
    asked = {"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "c", "input": "x"}}]}
    body, _ = sent({"messages": [USER, asked, {"role": "tool", "tool_call_id": "1", "content": "done"}]})
    assert [item["type"] for item in body["input"][1:]] == ["custom_tool_call", "custom_tool_call_output"]


def test_another_vendors_long_call_id_is_cut_alike_on_both_sides(sent: Any) -> None:
    long = "toolu_" + "x" * 90
    messages = [
        USER,
        {**ASKED, "tool_calls": [{**CALLED, "id": long}]},
        {"role": "tool", "tool_call_id": long, "content": "1"},
    ]
    body, notes = sent({"messages": messages})
    ids = {item["call_id"] for item in body["input"][1:]}
    assert (len(ids), max(map(len, ids)), notes) == (1, 64, {"messages.tool_calls.id": "renamed"})


def test_forms_of_the_answer(sent: Any) -> None:
    body, _ = sent({"response_format": {"type": "json_schema", "json_schema": SCHEMA}, "verbosity": "low"})
    assert body["text"] == {"format": {"type": "json_schema", **SCHEMA}, "verbosity": "low"}
    assert sent({"response_format": {"type": "json_object"}})[0]["text"] == {"format": {"type": "json_object"}}


def test_reasoning(sent: Any) -> None:
    body, notes = sent({"reasoning_effort": "low", "reasoning": {"summary": "auto"}})
    assert (body["reasoning"], notes) == ({"effort": "low", "summary": "auto"}, {})


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_output(sent: Any, encoded: Any, name: str) -> None:
    body, notes = sent({name: 99})
    assert (body["max_output_tokens"], notes) == (99, {name: "renamed"})
    body, notes = sent({name: 5})
    assert (body["max_output_tokens"], notes) == (16, {name: "clamped"})
    assert encoded({name: 5}, "llamacpp")[0]["max_output_tokens"] == 5


def test_log_probabilities(sent: Any) -> None:
    body, notes = sent({"logprobs": True, "top_logprobs": 2, "include": ["reasoning.encrypted_content"]})
    assert body["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert (body["top_logprobs"], notes) == (2, {"logprobs": "renamed"})


def test_what_both_have_is_sent_as_it_is(sent: Any) -> None:
    same = {"temperature": 0.5, "top_p": 0.9, "user": "u", "metadata": {"a": "b"}, "service_tier": "auto"}
    own = {
        "store": False,
        "previous_response_id": "resp_1",
        "truncation": "auto",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "max_tool_calls": 3,
        "include": ["reasoning.encrypted_content"],
    }
    body, notes = sent({**same, **own})
    assert (same | own).items() <= body.items()
    assert notes == {}


def test_what_it_lacks_is_dropped_and_said(sent: Any) -> None:
    lacking = {
        "n": 2,
        "stop": ["a"],
        "seed": 1,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.1,
        "logit_bias": {"1": 1},
        "top_k": 3,
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "mp3"},
        "prediction": {"type": "content", "content": "x"},
    }
    body, notes = sent(lacking)
    assert body == {"model": "gpt-5-mini", "input": [USER]}
    assert notes == dict.fromkeys(lacking, "dropped")


def test_what_asks_for_nothing_is_dropped_unsaid(sent: Any) -> None:
    assert sent({"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "modalities": ["text"]})[1] == {}


def test_names_of_participants_and_old_functions(sent: Any) -> None:
    body, notes = sent({"messages": [{**USER, "name": "Ada"}, {"role": "function", "name": "f", "content": "1"}]})
    assert body["input"] == [USER, {"role": "user", "content": "f: 1"}]
    assert notes == {"messages.name": "dropped", "messages.function": "emulated"}


# -- earlier answers, of this vendor and of others


def thought(**fields: Any) -> dict[str, Any]:
    block = {"type": "reasoning", "id": "rs_1", "provider": "openai", "index": 0, **fields}
    return {"role": "assistant", "content": "4", "reasoning_blocks": [block]}


SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}


def test_sealed_reasoning_goes_back_before_the_answer(sent: Any) -> None:
    body, notes = sent({"messages": [USER, thought(data="E"), USER], "store": False})
    assert body["input"] == [USER, SEALED, {"role": "assistant", "content": "4"}, USER]
    assert notes == {}


def test_stored_reasoning_goes_back_by_its_id(sent: Any) -> None:
    assert sent({"messages": [USER, thought()]})[0]["input"][1] == {"type": "reasoning", "id": "rs_1", "summary": []}


def test_reasoning_that_is_neither_sealed_nor_stored_is_dropped(sent: Any) -> None:
    body, notes = sent({"messages": [USER, thought()], "store": False})
    assert [item["role"] for item in body["input"]] == ["user", "assistant"]
    assert notes == {"messages.reasoning": "dropped"}


@pytest.mark.parametrize("provider", ["azure", "anthropic", None])
def test_reasoning_of_another_vendor_is_dropped(sent: Any, provider: str | None) -> None:
    body, notes = sent({"messages": [USER, thought(data="E", provider=provider) | {"reasoning_content": "2+2"}]})
    assert body["input"] == [USER, {"role": "assistant", "content": "4"}]
    assert notes == {"messages.reasoning": "dropped"}


LAYOUT = [
    {"provider": "openai", "type": "reasoning"},
    {
        "provider": "openai",
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    },
    {
        "provider": "openai",
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "phase": "final_answer",
        "parts": [{"type": "output_text", "annotations": [], "characters": 1}],
    },
    {"provider": "openai", "type": "function_call", "id": "fc_1", "status": "completed"},
]
LAID_OUT: dict[str, Any] = thought(data="E") | {"provider_blocks": LAYOUT, "tool_calls": [CALLED]}


def test_items_go_back_as_the_vendor_wrote_them(sent: Any) -> None:
    body, _ = sent({"messages": [USER, LAID_OUT]})
    assert [(item["type"], item.get("id")) for item in body["input"][1:]] == [
        ("reasoning", "rs_1"),
        ("web_search_call", "ws_1"),
        ("message", "msg_1"),
        ("function_call", "fc_1"),
    ]
    assert body["input"][3]["content"] == [{"type": "output_text", "annotations": [], "text": "4"}]


def test_a_text_that_a_stage_has_changed_goes_back_changed(sent: Any) -> None:
    body, _ = sent({"messages": [USER, LAID_OUT | {"content": "[redacted]"}]})
    assert body["input"][3] == {"role": "assistant", "content": "[redacted]", "phase": "final_answer"}


def test_a_call_that_a_stage_has_changed_or_removed_goes_back_so(sent: Any) -> None:
    other = {**CALLED, "function": {"name": "add", "arguments": '{"a":2}'}}
    body, _ = sent({"messages": [USER, LAID_OUT | {"tool_calls": [other, {**other, "id": "call_2"}]}]})
    assert [(i["call_id"], i["arguments"]) for i in body["input"][-2:]] == [
        ("call_1", '{"a":2}'),
        ("call_2", '{"a":2}'),
    ]
    body, _ = sent({"messages": [USER, LAID_OUT | {"tool_calls": None}]})
    assert body["input"][-1]["type"] == "message"


def test_without_their_reasoning_items_go_back_without_ids(sent: Any) -> None:
    body, notes = sent({"messages": [USER, LAID_OUT | {"reasoning_blocks": None}]})
    assert body["input"][1:] == [
        {"role": "assistant", "content": "4", "phase": "final_answer"},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":1}', "status": "completed"},
    ]
    assert notes == {"messages.items": "dropped"}


def test_another_vendors_layout_is_nothing_to_this_one(sent: Any) -> None:
    foreign = LAID_OUT | {"provider_blocks": [{"provider": "anthropic", "type": "server_tool_use", "id": "x"}]}
    body, notes = sent({"messages": [USER, foreign]})
    assert [item.get("type", item.get("role")) for item in body["input"]] == [
        "user",
        "reasoning",
        "assistant",
        "function_call",
    ]
    assert notes == {}


def test_a_refusal_goes_back_as_text(sent: Any) -> None:
    body, _ = sent({"messages": [USER, {"role": "assistant", "content": None, "refusal": "No."}, USER]})
    assert body["input"][1] == {"role": "assistant", "content": "No."}


def test_what_is_no_chat_is_refused() -> None:
    with pytest.raises(BadRequestError, match="embeddings"):
        ResponsesCodec().encode(Call.start(EmbeddingsRequest(model="m", input="x")))


def test_the_judge_can_say_no(faults: Any) -> None:
    assert faults({"model": "m", "input": "x"}) == []
    assert faults({"model": "m", "input": "x", "seed": 1})
    assert faults(
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "wrong": 1}]}]}
    )
