"""Requests in OpenAI's shape as Bedrock takes them; each body is judged by botocore's service model."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from bedrock_exchanges import CLAUDE, sent

from glassway.providers.codecs.anthropic_format import ANSWER_TOOL

NOVA = "us.amazon.nova-lite-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-2-1b-instruct-v1:0"
TITAN = "amazon.titan-text-express-v1"
MISTRAL = "mistral.mistral-large-2402-v1:0"
COMMAND_R = "cohere.command-r-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"

PNG = "data:image/png;base64,AAAA"
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "city", "schema": {"type": "object", "properties": {"n": {"type": "string"}}}},
}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(parts)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def document(data: str, **more: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": f"data:{data}", **more}}


def only(body: dict[str, Any]) -> list[dict[str, Any]]:
    [turn] = body["messages"]
    return turn["content"]


# -- messages


def test_system_messages_stand_apart_and_turns_of_one_role_are_one() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "developer", "content": "t"}, user("a"), user("b")]
    body, notes = sent({"messages": messages})
    assert body["system"] == [{"text": "s"}, {"text": "t"}]
    assert only(body) == [{"text": "a"}, {"text": "b"}]
    assert notes == {}


def test_a_later_system_message_is_moved_for_models_that_hear_none_inside() -> None:
    messages = [user("a"), {"role": "system", "content": "late"}, {"role": "assistant", "content": "b"}, user("c")]
    body, notes = sent({"messages": messages})
    assert (body["system"], notes) == ([{"text": "late"}], {"messages.system": "emulated"})
    body, notes = sent({"messages": messages, "model": "us.anthropic.claude-sonnet-5"})
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "assistant", "user"]
    assert notes == {}


@pytest.mark.parametrize("model", [TITAN, "mistral.mistral-7b-instruct-v0:2"])
def test_models_without_a_system_prompt_get_it_as_the_users_text(model: str) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "system", "content": "t"}, user("a")]
    body, notes = sent({"model": model, "messages": messages})
    assert "system" not in body
    assert sorted(block["text"] for block in only(body)) == ["a", "s", "t"]
    assert notes == {"messages.system": "emulated"}


def test_a_conversation_that_cannot_begin_so_is_mended_and_said() -> None:
    body, notes = sent({"messages": [{"role": "assistant", "content": "hi"}, user("a")]})
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    body, notes_2 = sent({"messages": [{"role": "system", "content": "s"}]})
    assert (only(body), notes["messages"], notes_2["messages"]) == ([{"text": "s"}], "emulated", "emulated")


def test_empty_texts_and_turns_are_left_out() -> None:
    messages = [user("a"), {"role": "assistant", "content": ""}, user(text(""), text("b"))]
    body, notes = sent({"messages": messages})
    assert only(body) == [{"text": "a"}, {"text": "b"}]
    assert notes == {"messages.assistant": "dropped"}


def test_names_and_results_of_functions() -> None:
    messages = [
        {**user("a"), "name": "ann"},
        {"role": "assistant", "content": "b"},
        {"role": "function", "name": "f", "content": "42"},
    ]
    body, notes = sent({"messages": messages})
    assert body["messages"][-1] == {"role": "user", "content": [{"text": "f: 42"}]}
    assert notes == {"messages.name": "dropped", "messages.function": "emulated"}


def test_a_tool_call_and_its_results() -> None:
    result = {
        "role": "tool",
        "tool_call_id": "c1",
        "content": [text("seen"), {"type": "image_url", "image_url": {"url": PNG}}],
        "is_error": True,
    }
    messages = [user("a"), {"role": "assistant", "content": None, "tool_calls": [CALL]}, result]
    body, notes = sent({"messages": messages, "tools": [TOOL]})
    [_, call, answer] = body["messages"]
    assert call["content"] == [{"toolUse": {"toolUseId": "c1", "name": "look", "input": {"at": 1}}}]
    image = {"image": {"format": "png", "source": {"bytes": "AAAA"}}}
    assert answer["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "seen"}, image], "status": "error"}}
    ]
    assert notes == {}


def test_ids_of_other_vendors_are_made_to_fit_on_both_sides() -> None:
    name = "call|" + "x" * 90
    messages = [
        user("a"),
        {"role": "assistant", "tool_calls": [CALL | {"id": name}]},
        {"role": "tool", "tool_call_id": name, "content": "b"},
    ]
    body, notes = sent({"messages": messages, "tools": [TOOL]})
    call, result = body["messages"][1]["content"][0]["toolUse"], body["messages"][2]["content"][0]["toolResult"]
    assert call["toolUseId"] == result["toolUseId"]
    assert len(call["toolUseId"]) == 64
    assert notes == {"messages.tool_calls.id": "renamed"}


@pytest.mark.parametrize("arguments", ["", "[1]", "{broken"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    call = {**CALL, "function": {"name": "look", "arguments": arguments}}
    body, notes = sent({"messages": [user("a"), {"role": "assistant", "tool_calls": [call]}], "tools": [TOOL]})
    given = body["messages"][1]["content"][0]["toolUse"]["input"]
    assert given == ({"invalid_arguments": arguments} if arguments else {})
    assert notes == ({"messages.tool_calls.arguments": "emulated"} if arguments else {})


# -- content


def test_images_and_videos_by_data_and_by_s3() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "s3://bucket/a.webp"}},
        {"type": "video_url", "video_url": {"url": "s3://bucket/a.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    body, notes = sent({"messages": [user(*parts)]})
    formats = [next(iter(block.items())) for block in only(body)]
    assert [(kind, value["format"]) for kind, value in formats] == [
        ("image", "png"),
        ("image", "jpeg"),
        ("image", "webp"),
        ("video", "mp4"),
        ("audio", "wav"),
    ]
    assert notes == {}


@pytest.mark.parametrize(
    "url", ["https://x.test/a.png", "data:image/tiff;base64,AAAA", "data:image/png;base64,???", "s3://bucket/a.tiff"]
)
def test_images_that_bedrock_cannot_have_are_dropped_and_said(url: str) -> None:
    body, notes = sent({"messages": [user(text("a"), {"type": "image_url", "image_url": {"url": url}})]})
    assert (only(body), notes) == ([{"text": "a"}], {"messages.content.image_url": "dropped"})


def test_documents_have_names_that_the_vendor_takes_each_once() -> None:
    pdf = "application/pdf;base64,JVBE"
    parts = [
        text("a"),
        document(pdf, filename="Bericht_v1.ü.pdf"),
        document(pdf),
        document(pdf),
        document("text/x-python,print(1)", filename="document"),
    ]
    body, notes = sent({"messages": [user(*parts)]})
    blocks = [block["document"] for block in only(body)[1:]]
    assert [block["name"] for block in blocks] == ["Bericht_v1", "document", "document 2", "document 3"]
    assert (blocks[3]["format"], base64.b64decode(blocks[3]["source"]["bytes"])) == ("txt", b"print(1)")
    assert notes == {"messages.content.file.filename": "renamed"}


def test_a_document_alone_gets_a_text_beside_it() -> None:
    body, notes = sent({"messages": [user(document("application/pdf;base64,JVBE"))]})
    assert only(body)[1] == {"text": "See the document."}
    assert notes == {"messages.content": "emulated"}


def test_files_that_are_images_or_nothing() -> None:
    parts = [
        text("a"),
        document("image/gif;base64,AAAA"),
        {"type": "file", "file": {"file_id": "f"}},
        document("application/zip;base64,AAAA"),
    ]
    body, notes = sent({"messages": [user(*parts)]})
    assert [next(iter(block)) for block in only(body)] == ["text", "image"]
    assert notes == {"messages.content.file": "dropped"}


def test_parts_of_other_vendors_are_dropped_and_said() -> None:
    foreign = {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}
    body, notes = sent({"messages": [user(text("a"), foreign, {"type": "refusal", "refusal": "no"})]})
    assert only(body) == [{"text": "a"}, {"text": "no"}]
    assert notes == {"messages.content.document": "dropped"}


def test_documents_of_other_vendors_that_are_text_become_text() -> None:
    anthropics = {"type": "document", "source": {"type": "text", "data": "x"}}
    coheres = {"type": "document", "document": {"id": "1", "data": {"text": "y"}}}
    body, notes = sent({"messages": [user(anthropics, coheres)]})
    assert only(body) == [{"text": "x"}, {"text": "y"}]
    assert notes == {"messages.content.document": "emulated"}


# -- prompt caching

MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
MARKED = {
    "messages": [
        {"role": "system", "content": [text("s", **MARK)]},
        user(text("a", **MARK), text("b")),
        {"role": "assistant", "content": "c", **MARK},
        user("d"),
    ],
    "tools": [TOOL | MARK],
}


def points(body: dict[str, Any]) -> list[Any]:
    lists = [body["system"], body["toolConfig"]["tools"], *(turn["content"] for turn in body["messages"])]
    return [[at for at, block in enumerate(blocks) if "cachePoint" in block] for blocks in lists]


def test_marks_become_cache_points_behind_what_they_mark() -> None:
    body, notes = sent(MARKED)
    assert points(body) == [[1], [1], [1], [1], []]
    assert body["system"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert notes == {}


def test_cache_points_go_where_the_model_takes_them() -> None:
    body, notes = sent(MARKED | {"model": NOVA})
    assert points(body) == [[1], [], [1], [1], []]
    assert body["system"][1] == {"cachePoint": {"type": "default"}}
    assert notes == {"cache_control": "dropped", "cache_control.ttl": "clamped"}
    body, notes = sent(MARKED | {"model": LLAMA})
    assert points(body) == [[]] * 5
    assert notes == {"cache_control": "dropped"}


# -- reasoning

SIGNED = {"type": "thinking", "text": "hm", "signature": "sig", "provider": "bedrock", "index": 0}
HIDDEN = {"type": "redacted_thinking", "data": "c2VjcmV0", "provider": "bedrock", "index": 1}


def turns(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        user("a"),
        {"role": "assistant", "content": "b", "reasoning_content": "hm", "reasoning_blocks": list(blocks)},
        user("c"),
    ]


def test_signed_reasoning_goes_back_first_and_unchanged() -> None:
    body, notes = sent({"messages": turns(HIDDEN, SIGNED)})
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
        {"text": "b"},
    ]
    assert notes == {}


def test_anthropics_signatures_hold_here_and_other_vendors_do_not() -> None:
    body, notes = sent({"messages": turns(SIGNED | {"provider": "anthropic"})})
    assert "reasoningContent" in body["messages"][1]["content"][0]
    assert notes == {}
    for block in (
        SIGNED | {"provider": "gemini"},
        HIDDEN | {"provider": "anthropic"},
        {"type": "thinking", "text": "hm"},
    ):
        body, notes = sent({"messages": turns(block)})
        assert body["messages"][1]["content"] == [{"text": "b"}]
        assert notes == {"messages.reasoning": "dropped"}


def test_a_model_of_another_maker_is_not_sent_claudes_signatures() -> None:
    body, notes = sent({"messages": turns(SIGNED), "model": NOVA})
    assert body["messages"][1]["content"] == [{"text": "b"}]
    assert notes == {"messages.reasoning": "dropped"}


@pytest.mark.parametrize(
    ("model", "effort", "expected", "action"),
    [
        (CLAUDE, "low", {"thinking": {"type": "enabled", "budget_tokens": 2_048}}, "emulated"),
        (NOVA_2, "low", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, "renamed"),
        (NOVA_2, "max", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, "clamped"),
        (NOVA_2, "none", {"reasoningConfig": {"type": "disabled"}}, "renamed"),
        (GPT_OSS, "high", {"reasoning_effort": "high"}, "renamed"),
        (GPT_OSS, "minimal", {"reasoning_effort": "low"}, "clamped"),
        (GPT_OSS, "none", {}, "dropped"),
        (NOVA, "high", {}, "dropped"),
        (LLAMA, "high", {}, "dropped"),
        (NOVA_2, "silly", {}, "dropped"),
    ],
)
def test_effort_is_said_as_the_family_says_it(model: str, effort: str, expected: dict[str, Any], action: str) -> None:
    body, notes = sent({"model": model, "reasoning_effort": effort})
    assert body.get("additionalModelRequestFields", {}) == expected
    assert notes == {"reasoning_effort": action}


def test_newer_claudes_think_adaptively() -> None:
    body, notes = sent({"model": "us.anthropic.claude-sonnet-5", "reasoning_effort": "high"})
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert body["outputConfig"] == {"effort": "high"}
    assert notes == {"reasoning_effort": "renamed"}


def test_novas_highest_effort_takes_no_limits() -> None:
    body, notes = sent(
        {"model": NOVA_2, "reasoning_effort": "high", "max_tokens": 5, "temperature": 0.5, "top_p": 0.5, "stop": "x"}
    )
    assert body["inferenceConfig"] == {"stopSequences": ["x"]}
    assert notes == {
        "reasoning_effort": "renamed",
        "max_tokens": "dropped",
        "temperature": "dropped",
        "top_p": "dropped",
    }


def test_thinking_of_the_callers_own_goes_through() -> None:
    body, _ = sent(
        {"thinking": {"type": "enabled", "budget_tokens": 1_500}, "reasoning_effort": "high", "temperature": 0.2}
    )
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 1_500}}
    assert "inferenceConfig" not in body


def test_a_tool_loop_without_signatures_does_not_think() -> None:
    messages = [
        user("a"),
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "b"},
    ]
    body, notes = sent({"messages": messages, "tools": [TOOL], "reasoning_effort": "high"})
    assert "additionalModelRequestFields" not in body
    assert notes == {"reasoning_effort": "dropped"}


# -- sampling and the rest


def test_limits_and_sampling() -> None:
    body, notes = sent(
        {"model": LLAMA, "max_completion_tokens": 5, "temperature": 1.5, "top_p": 0.5, "stop": ["x", ""]}
    )
    assert body["inferenceConfig"] == {"maxTokens": 5, "temperature": 1.0, "topP": 0.5, "stopSequences": ["x"]}
    assert notes == {"temperature": "clamped"}


def test_claudes_own_rules_hold() -> None:
    body, notes = sent({"temperature": 0.5, "top_p": 0.5, "top_k": 3, "seed": 1})
    assert body["inferenceConfig"] == {"temperature": 0.5}
    assert body["additionalModelRequestFields"] == {"top_k": 3}
    assert notes == {"top_p": "dropped", "seed": "dropped"}


@pytest.mark.parametrize(
    ("model", "expected", "dropped"),
    [
        (NOVA, {"inferenceConfig": {"topK": 3}}, {"seed", "presence_penalty"}),
        (MISTRAL, {"top_k": 3}, {"seed", "presence_penalty"}),
        (COMMAND_R, {"k": 3, "seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0}, set()),
        (LLAMA, {}, {"top_k", "seed", "presence_penalty"}),
        ("vendor.unheard-of-v1", {"top_k": 3}, {"seed", "presence_penalty"}),
    ],
)
def test_what_converse_lacks_goes_to_models_that_have_it(
    model: str, expected: dict[str, Any], dropped: set[str]
) -> None:
    body, notes = sent({"model": model, "top_k": 3, "seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0})
    assert body.get("additionalModelRequestFields", {}) == expected
    assert {name for name, action in notes.items() if action == "dropped"} == dropped


def test_what_nobody_has_is_dropped_and_said() -> None:
    unheard = {
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"1": 1},
        "user": "u",
        "modalities": ["audio"],
        "verbosity": "low",
        "store": True,
    }
    body, notes = sent(unheard)
    assert body.keys() == {"messages"}
    assert notes == dict.fromkeys(unheard, "dropped")
    assert sent({"n": 1, "logprobs": False, "modalities": ["text"], "service_tier": "auto"})[1] == {}


def test_fields_of_converse_and_of_the_model_go_through() -> None:
    given = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "additionalModelRequestFields": {"top_k": 9},
        "betas": ["b"],
        "top_k": 3,
    }
    body, _ = sent(given)
    assert body["guardrailConfig"] == given["guardrailConfig"]
    assert body["performanceConfig"] == {"latency": "optimized"}
    assert body["additionalModelRequestFields"]["anthropic_beta"] == ["b"]
    body, notes = sent({"model": "vendor.unheard-of-v1", "wild": 1})
    assert (body["additionalModelRequestFields"], notes) == ({"wild": 1}, {})


def test_metadata_and_tiers() -> None:
    body, notes = sent({"metadata": {"team": "a", "bad": "ü"}, "service_tier": "priority"})
    assert (body["requestMetadata"], body["serviceTier"]) == ({"team": "a"}, {"type": "priority"})
    assert notes == {"metadata": "clamped"}
    assert sent({"service_tier": "scale"})[1] == {"service_tier": "dropped"}


# -- tools


@pytest.mark.parametrize(
    ("model", "choice", "expected", "notes"),
    [
        (CLAUDE, "auto", {"auto": {}}, {}),
        (CLAUDE, "required", {"any": {}}, {}),
        (CLAUDE, {"type": "function", "function": {"name": "look"}}, {"tool": {"name": "look"}}, {}),
        (MISTRAL, {"type": "function", "function": {"name": "look"}}, {"any": {}}, {"tool_choice": "clamped"}),
        (LLAMA, "required", None, {"tool_choice": "dropped"}),
        (LLAMA, "auto", {"auto": {}}, {}),
        (CLAUDE, "sometimes", None, {"tool_choice": "dropped"}),
    ],
)
def test_the_choice_among_tools(model: str, choice: Any, expected: Any, notes: dict[str, str]) -> None:
    body, noted = sent({"model": model, "tools": [TOOL], "tool_choice": choice})
    assert body["toolConfig"].get("toolChoice") == expected
    assert noted == notes


def test_no_tool_at_all_is_emulated_by_sending_none() -> None:
    body, notes = sent({"tools": [TOOL], "tool_choice": "none"})
    assert ("toolConfig" in body, notes) == (False, {"tool_choice": "emulated"})


TALK = [user("a"), {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "b"}]


def test_a_conversation_with_tool_calls_always_has_tools() -> None:
    """ "The toolConfig field must be defined when using toolUse and toolResult content blocks." """
    body, notes = sent({"messages": TALK})
    assert body["toolConfig"] == {
        "tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]
    }
    assert notes == {"tools": "emulated"}
    body, notes = sent({"messages": TALK, "tools": [TOOL], "tool_choice": "none"})
    assert ("toolChoice" in body["toolConfig"], notes) == (False, {"tool_choice": "dropped"})
    body, notes = sent({"messages": [user("a"), TALK[2]]})
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "unknown_tool"


def test_one_tool_at_a_time_is_claudes_alone() -> None:
    body, notes = sent({"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False})
    assert body["additionalModelRequestFields"]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "toolChoice" not in body["toolConfig"]
    assert notes == {"parallel_tool_calls": "renamed"}
    for request in ({"model": NOVA}, {"tool_choice": "required"}):
        body, notes = sent({"tools": [TOOL], "parallel_tool_calls": False, **request})
        assert ("additionalModelRequestFields" in body, notes) == (False, {"parallel_tool_calls": "dropped"})


def test_strict_tools_and_tools_of_other_vendors() -> None:
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    body, notes = sent({"tools": [strict, {"type": "web_search_20250305", "name": "w"}]})
    assert body["toolConfig"]["tools"] == [
        {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}, "strict": True}}
    ]
    assert notes == {"tools": "dropped"}
    body, notes = sent({"tools": [strict], "model": NOVA})
    assert ("strict" in body["toolConfig"]["tools"][0]["toolSpec"], notes) == (False, {"tools.strict": "dropped"})


def test_a_choice_without_tools_is_dropped() -> None:
    assert sent({"tool_choice": "required"})[1] == {"tool_choice": "dropped"}


# -- structured output


def test_models_with_structured_outputs_get_the_schema() -> None:
    for model in (CLAUDE, GPT_OSS, "qwen.qwen3-32b-v1:0"):
        body, notes = sent({"model": model, "response_format": SCHEMA})
        definition = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        assert definition["name"] == "city"
        assert '"additionalProperties":false' in definition["schema"]
        assert notes["response_format"] == "renamed"


def test_other_models_answer_by_a_forced_tool() -> None:
    body, notes = sent({"model": NOVA, "response_format": SCHEMA})
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": ANSWER_TOOL}}
    assert notes == {"response_format": "emulated"}
    body, notes = sent({"model": MISTRAL, "response_format": SCHEMA})
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    body, notes = sent({"model": NOVA, "response_format": {"type": "json_object"}, "tools": [TOOL]})
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["look", ANSWER_TOOL]
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


def test_a_forced_answer_stands_beside_no_choice_of_claudes_own() -> None:
    old = "anthropic.claude-3-5-sonnet-20240620-v1:0"
    body, notes = sent({"model": old, "response_format": SCHEMA, "tools": [TOOL], "parallel_tool_calls": False})
    assert "additionalModelRequestFields" not in body
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    assert notes["response_format"] == "emulated"


@pytest.mark.parametrize("request_", [{"model": LLAMA}, {"model": NOVA, "tools": [TOOL], "tool_choice": "required"}])
def test_where_no_tool_can_be_forced_the_format_is_dropped(request_: dict[str, Any]) -> None:
    body, notes = sent({"response_format": SCHEMA, **request_})
    assert "outputConfig" not in body
    assert notes == {"response_format": "dropped"}
