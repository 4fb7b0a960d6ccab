"""What is sent: valid by the official client's own types, and nothing that the caller asked for is lost unsaid."""

from __future__ import annotations

from typing import Any, cast

import pytest
from judges import openai_faults
from pydantic_core import from_json, to_json

from glassway.pipeline.call import Call, Target
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest, EmbeddingsRequest
from glassway.providers.catalogue import ROWS, row_of
from glassway.providers.codecs.openai import OpenAICodec
from glassway.providers.dialect import DEEPSEEK

USER = {"role": "user", "content": "Hello"}
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "strict": True,
    },
}
ASKED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}],
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png", "detail": "low"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}

FEATURES: dict[str, dict[str, Any]] = {
    "text": {},
    "sampling": {"temperature": 0.5, "top_p": 0.9, "seed": 1, "frequency_penalty": 0.1, "presence_penalty": 0.1},
    "limits": {"max_tokens": 5, "stop": ["a", "b"], "n": 2},
    "completion limit": {"max_completion_tokens": 5, "stop": "a"},
    "log-probabilities": {"logprobs": True, "top_logprobs": 2, "logit_bias": {"50256": -100}},
    "tools": {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    "named tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}}},
    "tool result": {"messages": [USER, ASKED, {"role": "tool", "tool_call_id": "call_1", "content": "1"}]},
    "schema": {"response_format": SCHEMA},
    "json": {"response_format": {"type": "json_object"}},
    "reasoning": {"reasoning_effort": "low"},
    "housekeeping": {"user": "u", "metadata": {"a": "b"}, "service_tier": "auto", "store": True},
    "audio out": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}},
    "roles": {"messages": [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, USER]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "t"}, IMAGE, AUDIO, FILE]}]},
    "refusal": {"messages": [USER, {"role": "assistant", "content": None, "refusal": "no"}, USER]},
    "unknown to us": {"prompt_cache_key": "k", "verbosity": "low", "safety_identifier": "s"},
}


def problems(body: dict[str, Any]) -> dict[str, str]:
    """Where the official types disagree, and why."""
    return dict(fault.split(": ", 1) for fault in openai_faults(body))


def encoded(
    data: dict[str, Any], vendor: str = "openai", model: str = "gpt-4o"
) -> tuple[dict[str, Any], dict[str, str]]:
    """The body, and what the facts say of parameters: name to action."""
    call = Call.start(ChatRequest.model_validate(data)).with_target(Target(vendor, model))
    body = from_json(OpenAICodec(row_of(vendor).dialect).encode(call).content)
    return body, {fact.parameter: fact.action for fact in call.trail(TRANSLATION)}


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "openai/gpt-4o", "messages": [USER], **fields}


# -- valid by the official types


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_each_feature_is_sent_as_the_official_types_say(feature: str, stream: bool) -> None:
    body, notes = encoded(asking(**FEATURES[feature], **({"stream": True} if stream else {})))
    assert problems(body) == {}
    assert notes == {}
    assert FEATURES[feature].items() <= body.items()


def test_the_judge_can_say_no() -> None:
    assert problems({"model": "m", "messages": [{**USER, "reasoning_content": "x"}]})
    assert problems({"model": "m", "messages": [USER], "top_k": 3})


def test_an_answer_of_any_vendor_can_be_sent_to_openai_as_it_is() -> None:
    answer = {
        "role": "assistant",
        "content": "4",
        "refusal": None,
        "annotations": [{"type": "url_citation"}],
        "reasoning_content": "2+2",
        "reasoning_blocks": [{"type": "thinking", "text": "2+2", "signature": "s"}],
        "audio": {"id": "a", "data": "AAAA", "transcript": "four", "expires_at": 1},
        "tool_calls": [{**ASKED["tool_calls"][0], "index": 0}],
    }
    marked = {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}]}
    body, notes = encoded(
        asking(messages=[USER, answer, marked], tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}])
    )
    assert problems(body) == {}
    assert body["messages"][1]["audio"] == {"id": "a"}
    assert notes == dict.fromkeys(("annotations", "reasoning_content", "reasoning_blocks", "cache_control"), "dropped")


OPENAI_TYPED = {"openai", "azure"}
"""Vendors whose recorded requests are bound to OpenAI's own types; others have parameters of their own."""


def test_a_recorded_request_is_sent_without_loss(recorded_request: Any) -> None:
    vendor = {"azure": "openai", "ollama-openai": "ollama"}.get(recorded_request.vendor, recorded_request.vendor)
    asked = recorded_request.request
    model = asked.get("model") or "m"
    body, notes = encoded({**asked, "model": f"{vendor}/{model}"}, vendor, model)
    expected = _told(asked, notes, vendor, model)
    if body.get("stream") and vendor != "mistral":
        expected["stream_options"] = {"include_usage": True, **(asked.get("stream_options") or {})}
    assert _sparse(body) == _sparse(expected)
    if recorded_request.vendor in OPENAI_TYPED and recorded_request.status < 400:
        assert problems(body).keys() <= problems(asked).keys()  # OpenAI took those as they were


def _told(asked: dict[str, Any], notes: dict[str, str], vendor: str, model: str) -> dict[str, Any]:
    """The request with exactly those changes that the facts tell of."""
    expected = from_json(to_json({**asked, "model": model}))
    names = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens", "seed": "random_seed"}
    for name, action in notes.items():
        if name in expected:
            value = expected.pop(name)
            if action == "renamed":
                expected[names[name]] = value
        for message in expected["messages"]:
            if action == "dropped":
                message.pop(name, None)
    for tool in expected.get("tools") or ():
        tool.setdefault("type", "function")  # Mistral's default, written out
    for message in expected["messages"]:
        for tool in message.get("tool_calls") or ():
            tool.pop("index", None)  # it repeats the place in the list
            tool.setdefault("type", "function")
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if isinstance(url := part.get("image_url"), str):
                part["image_url"] = {"url": url}  # Mistral takes both forms
        if vendor == "ollama" and "reasoning_content" in message:
            message["reasoning"] = message.pop("reasoning_content")
    return cast("dict[str, Any]", expected)


def _sparse(value: Any) -> Any:
    """Without nulls and empty lists of annotations, which mean nothing in a request."""
    if isinstance(value, dict):
        return {name: _sparse(item) for name, item in value.items() if item is not None and item != []}
    return [_sparse(item) for item in value] if isinstance(value, list) else value


# -- dialects


def test_reasoning_models_get_max_completion_tokens() -> None:
    for model in ("o3-mini", "gpt-5", "gpt-5-mini-2025-08-07", "ft:o4-mini:org"):
        body, notes = encoded(asking(max_tokens=7), model=model)
        assert (body.get("max_tokens"), body["max_completion_tokens"], notes) == (None, 7, {"max_tokens": "renamed"})


def test_other_models_keep_max_tokens() -> None:
    body, notes = encoded(asking(max_tokens=7), model="gpt-4o")
    assert (body["max_tokens"], "max_completion_tokens" in body, notes) == (7, False, {})


def test_a_second_different_limit_is_said_to_be_dropped() -> None:
    body, notes = encoded(asking(max_tokens=7, max_completion_tokens=9), model="o3")
    assert (body["max_completion_tokens"], notes) == (9, {"max_tokens": "dropped"})


@pytest.mark.parametrize("vendor", ["mistral", "deepseek", "ollama"])
def test_vendors_that_only_know_max_tokens_get_it(vendor: str) -> None:
    body, notes = encoded(asking(max_completion_tokens=7), vendor)
    assert (body["max_tokens"], notes) == (7, {"max_completion_tokens": "renamed"})


def test_top_k_is_dropped_for_openai_and_said() -> None:
    body, notes = encoded(asking(top_k=5))
    assert ("top_k" in body, notes) == (False, {"top_k": "dropped"})


@pytest.mark.parametrize("vendor", ["vllm", "llamacpp", "openai_compatible", "together", "openrouter"])
def test_compatible_servers_get_what_openai_does_not_know(vendor: str) -> None:
    marked = {**USER, "cache_control": {"type": "ephemeral"}}
    body, notes = encoded(asking(messages=[marked], top_k=5, min_p=0.1, guided_json={"type": "object"}), vendor)
    assert (body["top_k"], body["min_p"], body["guided_json"], notes) == (5, 0.1, {"type": "object"}, {})
    assert body["messages"] == [marked]


def test_mistral_gets_its_own_names_and_no_stream_options() -> None:
    body, notes = encoded(asking(seed=1, stream=True, stream_options={"include_usage": True}), "mistral")
    assert (body["random_seed"], "seed" in body, "stream_options" in body) == (1, False, False)
    assert notes == {"seed": "renamed", "stream_options": "dropped"}


def test_a_stream_asks_for_its_token_counts() -> None:
    assert encoded(asking(stream=True))[0]["stream_options"] == {"include_usage": True}


def test_the_callers_own_stream_options_win() -> None:
    options = {"include_usage": False, "include_obfuscation": False}
    assert encoded(asking(stream=True, stream_options=options))[0]["stream_options"] == options


def test_a_unary_request_has_no_stream_options() -> None:
    assert "stream_options" not in encoded(asking())[0]


# -- reasoning goes back where the vendor takes it

THOUGHT: dict[str, Any] = {"role": "assistant", "content": "4", "reasoning_content": "2+2"}


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("deepseek", "reasoning_content"),
        ("vllm", "reasoning_content"),
        ("groq", "reasoning"),
        ("openrouter", "reasoning"),
    ],
)
def test_reasoning_text_goes_back_under_the_vendors_name(vendor: str, name: str) -> None:
    body, notes = encoded(asking(messages=[USER, THOUGHT, USER]), vendor)
    assert body["messages"][1] == {"role": "assistant", "content": "4", name: "2+2"}
    assert notes == {}


def test_mistral_takes_reasoning_as_a_part() -> None:
    body, _ = encoded(asking(messages=[USER, THOUGHT, USER]), "mistral")
    thinking: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]}
    assert body["messages"][1]["content"] == [thinking, {"type": "text", "text": "4"}]


DETAILS = [
    {"type": "reasoning.summary", "summary": "short", "format": "xai-responses-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "AAAA", "id": "rs_1", "format": "xai-responses-v1", "index": 1},
    {"type": "reasoning.text", "text": "long", "signature": "sig", "format": "anthropic-claude-v1", "index": 2},
]


def openrouter_answer() -> bytes:
    message = {"role": "assistant", "content": "4", "reasoning": "short", "reasoning_details": DETAILS}
    return to_json({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})


def test_openrouters_signed_blocks_go_back_as_they_came() -> None:
    call = Call.start(ChatRequest.model_validate(asking()))
    answer = OpenAICodec(row_of("openrouter").dialect).decode(call, openrouter_answer())
    body, _ = encoded({"model": "m", "messages": [USER, answer.message.to_dict(), USER]}, "openrouter")
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "4",
        "reasoning": "short",
        "reasoning_details": DETAILS,
    }


def test_openrouters_streamed_blocks_go_back_as_they_came() -> None:
    pieces: list[dict[str, Any]] = [
        {"delta": {"role": "assistant", "reasoning_details": [detail]}} for detail in DETAILS
    ]
    pieces += [{"delta": {"content": "4"}, "finish_reason": "stop"}]
    events = [
        b"data: " + to_json({"id": "1", "model": "m", "choices": [{"index": 0, **piece}]}) + b"\n\n" for piece in pieces
    ]
    codec = OpenAICodec(row_of("openrouter").dialect)
    call = Call.start(ChatRequest.model_validate(asking()))
    answer = codec.assemble(call, codec.decoder(call).feed(b"".join(events)))
    body, _ = encoded({"model": "m", "messages": [USER, answer.message.to_dict(), USER]}, "openrouter")
    assert body["messages"][1]["reasoning_details"] == DETAILS


def test_another_vendors_signed_blocks_are_not_sent_to_openrouter() -> None:
    foreign = {
        **THOUGHT,
        "reasoning_blocks": [{"type": "thinking", "text": "2+2", "signature": "s", "provider": "anthropic"}],
    }
    body, notes = encoded(asking(messages=[USER, foreign, USER]), "openrouter")
    assert "reasoning_details" not in body["messages"][1]
    assert notes == {"reasoning_blocks": "dropped"}


# -- the catalogue


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_has_a_source_and_an_address(row: Any) -> None:
    assert row.docs.startswith("https://")
    assert row.base_url is None or row.base_url.startswith(("https://", "http://localhost", "http://simulated"))
    signs_in = row.codec in ("vertex", "bedrock")  # with the account's own credentials, where no key is given
    away = bool(row.base_url_env if row.base_url is None else row.base_url.startswith("https://"))
    assert row.needs_key == (away and not signs_in)
    assert bool(row.key_variables) or not row.needs_key


def test_names_and_aliases_are_unique() -> None:
    names = [name for row in ROWS for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))


def test_an_operation_that_the_vendor_has_not_is_refused() -> None:
    with pytest.raises(BadRequestError, match=r"deepseek has \(chat\), found embeddings"):
        OpenAICodec(DEEPSEEK).encode(Call.start(EmbeddingsRequest(model="m", input="x")))


# -- what other protocols left in a conversation

GUESTS: list[dict[str, Any]] = [
    {"role": "developer", "content": "d"},
    {"role": "user", "content": [{"type": "gemini_part", "part": {}}, {"type": "json", "json": {"a": 1}}]},
    {**ASKED, "reasoning": "hm", "executed_tools": [], "token_id": 3, "reasoning_details": [{"type": "x"}]},
    {"role": "tool", "tool_call_id": "call_1", "name": "add", "is_error": True, "content": [IMAGE]},
]


def test_what_no_server_reads_is_taken_out_and_said() -> None:
    body, notes = encoded(asking(messages=GUESTS, tools=[{"type": "googleSearch"}], tool_choice="any"))
    assert problems(body) == {}
    assert body["messages"][1]["content"] == [{"type": "text", "text": '{"a":1}'}]
    assert [message["role"] for message in body["messages"]] == ["developer", "user", "assistant", "tool", "user"]
    assert body["messages"][-1]["content"] == [IMAGE]
    assert not {"tools", "tool_choice"} & body.keys()
    assert notes == {
        "messages.content.gemini_part": "dropped",
        "messages.content.json": "emulated",
        "messages.reasoning": "dropped",
        "messages.reasoning_details": "dropped",
        "messages.is_error": "dropped",
        "messages.tool.content": "emulated",
        "tools": "dropped",
    }


def test_a_server_of_whom_nothing_is_known_gets_what_the_caller_says() -> None:
    asked = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "safe_prompt": True, "tool_choice": "any"}
    body, notes = encoded(asking(tools=[TOOL, {"type": "web_search"}], **asked), "openai_compatible")
    assert asked.items() <= body.items()
    assert (body["tools"], notes) == ([TOOL, {"type": "web_search"}], {})


@pytest.mark.parametrize(("vendor", "role"), [("mistral", "system"), ("groq", "system"), ("openai", "developer")])
def test_the_role_of_developers_is_systems_where_there_is_none(vendor: str, role: str) -> None:
    body, notes = encoded(asking(messages=[{"role": "developer", "content": "d"}, USER]), vendor)
    assert body["messages"][0]["role"] == role
    assert notes == ({} if role == "developer" else {"messages.developer": "renamed"})


def test_a_choice_of_several_tools_is_emulated() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [other]}}
    body, notes = encoded(asking(tools=[TOOL, other], tool_choice=allowed), "groq")
    assert (body["tools"], body["tool_choice"], notes) == ([other], "required", {"tool_choice": "emulated"})
    assert encoded(asking(tools=[TOOL, other], tool_choice=allowed))[0]["tool_choice"] == allowed


def test_groq_gets_the_nearest_effort_that_it_knows() -> None:
    body, notes = encoded(asking(reasoning_effort="xhigh"), "groq")
    assert (body["reasoning_effort"], notes) == ("high", {"reasoning_effort": "clamped"})


def test_deepseeks_thinking_has_no_budget() -> None:
    body, notes = encoded(asking(thinking={"type": "enabled", "budget_tokens": 9}), "deepseek")
    assert (body["thinking"], notes) == ({"type": "enabled"}, {"thinking": "clamped"})


def test_mistral_takes_documents_as_addresses() -> None:
    files = [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, FILE]
    body, notes = encoded(asking(messages=[{"role": "user", "content": files}]), "mistral")
    assert body["messages"][0]["content"] == [
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA"},
        {"type": "file", "file_id": "file-1"},
    ]
    assert notes == {"messages.content.file": "renamed"}


def test_a_file_in_googles_store_is_nobody_elses() -> None:
    stored = {"type": "file", "file": {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/a"}}
    body, notes = encoded(asking(messages=[{"role": "user", "content": [{"type": "text", "text": "t"}, stored]}]))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "t"}]
    assert notes == {"messages.content.file": "dropped"}
