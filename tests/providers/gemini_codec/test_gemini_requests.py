"""A request in OpenAI's shape as Gemini's: what maps to what, what is dropped and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.types import Request
from glassway.providers.codecs.gemini import GeminiCodec

Json = dict[str, Any]
Sent = Callable[[Json], tuple[Json, dict[str, str]]]


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def test_system_messages_go_to_the_system_instruction(sent: Sent) -> None:
    body, notes = sent(
        {"messages": [{"role": "system", "content": "a"}, user("x"), {"role": "developer", "content": "b"}]}
    )
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "x"}]}]
    assert notes == {"messages.system": "emulated"}


def test_the_last_of_only_system_messages_is_the_users(sent: Sent) -> None:
    body, notes = sent({"messages": [{"role": "system", "content": "a"}]})
    assert body == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
    assert notes == {"messages": "emulated"}


def test_consecutive_turns_of_one_role_are_one(sent: Sent) -> None:
    body, _ = sent(
        {
            "messages": [
                user("a"),
                user("b"),
                {"role": "assistant", "content": "c"},
                {"role": "assistant", "content": "d"},
                user("e"),
            ]
        }
    )
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][1]["parts"] == [{"text": "c"}, {"text": "d"}]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x.test/a.JPG?w=1"}},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a.JPG?w=1"}},
        ),
        ({"type": "image_url", "image_url": {"url": "gs://b/a"}}, {"fileData": {"fileUri": "gs://b/a"}}),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        ),
        (
            {"type": "file", "file": {"file_data": "JVBE", "filename": "a.csv"}},
            {"inlineData": {"mimeType": "text/csv", "data": "JVBE"}},
        ),
        (
            {"type": "file", "file": {"file_id": "files/abc"}},
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://x.test/v.mp4"}},
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://x.test/v.mp4"}},
        ),
        ({"type": "gemini_part", "part": {"text": "x"}}, {"text": "x"}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_parts(sent: Sent, part: Json, expected: Json) -> None:
    body, notes = sent({"messages": [user([part])]})
    assert body["contents"] == [{"role": "user", "parts": [expected]}]
    assert notes == {}


@pytest.mark.parametrize(
    ("part", "note"),
    [
        ({"type": "image_url", "image_url": {"url": "/tmp/a.png"}}, "messages.content.image_url"),
        ({"type": "file", "file": {"filename": "a"}}, "messages.content.file"),
        ({"type": "document", "source": {}}, "messages.content.document"),
    ],
)
def test_a_part_that_the_vendor_cannot_take_is_dropped_and_said(sent: Sent, part: Json, note: str) -> None:
    body, notes = sent({"messages": [user([{"type": "text", "text": "x"}, part])]})
    assert body["contents"][0]["parts"] == [{"text": "x"}]
    assert notes == {note: "dropped"}


def test_marks_for_other_vendors_caches_are_dropped(sent: Sent) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    _, notes = sent({"messages": [user([{"type": "text", "text": "x", **mark}])]})
    assert notes == {"cache_control": "dropped"}


def test_sampling_and_limits(sent: Sent) -> None:
    body, notes = sent(
        {
            "temperature": 3,
            "top_p": 0.5,
            "top_k": 7,
            "max_tokens": 9,
            "n": 2,
            "seed": 1,
            "stop": list("abcdef"),
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "logprobs": True,
            "top_logprobs": 3,
        }
    )
    assert body["generationConfig"] == {
        "temperature": 2.0,
        "topP": 0.5,
        "topK": 7,
        "maxOutputTokens": 9,
        "candidateCount": 2,
        "seed": 1,
        "stopSequences": list("abcde"),
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert notes == {"temperature": "clamped", "stop": "clamped"}


def test_what_gemini_has_not_is_dropped_and_said(sent: Sent) -> None:
    body, notes = sent(
        {
            "logit_bias": {"1": 1},
            "user": "u",
            "metadata": {"a": "b"},
            "parallel_tool_calls": False,
            "prompt_cache_key": "k",
            "service_tier": "scale",
        }
    )
    assert body.keys() == {"contents"}
    assert notes == dict.fromkeys(
        ("logit_bias", "user", "metadata", "parallel_tool_calls", "prompt_cache_key", "service_tier"), "dropped"
    )


def test_what_asks_for_nothing_is_not_said(sent: Sent) -> None:
    body, notes = sent(
        {
            "n": 1,
            "logprobs": False,
            "service_tier": "auto",
            "stream_options": {"include_usage": True},
            "response_format": {"type": "text"},
        }
    )
    assert body.keys() == {"contents"}
    assert notes == {}


def test_geminis_own_parameters_pass_in_either_spelling(sent: Sent) -> None:
    body, notes = sent(
        {
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "cached_content": "cachedContents/1",
            "thinking_config": {"thinking_budget": 5},
            "mediaResolution": "MEDIA_RESOLUTION_HIGH",
            "generationConfig": {"temperature": 0.1, "image_config": {"aspect_ratio": "1:1"}},
            "tool_config": {"retrieval_config": {"language_code": "en"}},
            "service_tier": "flex",
            "temperature": 0.9,
            "labels": {"my_label": "x"},
        }
    )
    assert body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    assert body["cachedContent"] == "cachedContents/1"
    assert body["generationConfig"] == {
        "temperature": 0.1,
        "thinkingConfig": {"thinkingBudget": 5},
        "mediaResolution": "MEDIA_RESOLUTION_HIGH",
        "imageConfig": {"aspectRatio": "1:1"},
    }
    assert body["toolConfig"] == {"retrievalConfig": {"languageCode": "en"}}
    assert body["serviceTier"] == "flex"
    assert body["labels"] == {"my_label": "x"}
    assert notes == {}


@pytest.mark.parametrize(
    ("model", "effort", "config", "action"),
    [
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}, "emulated"),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24576, "includeThoughts": True}, "emulated"),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 32768, "includeThoughts": True}, "emulated"),
        ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}, "renamed"),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}, "clamped"),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}, "renamed"),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH", "includeThoughts": True}, "clamped"),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}, "renamed"),
        ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "LOW"}, "clamped"),
        ("gemini-flash-latest", "xhigh", {"thinkingLevel": "HIGH", "includeThoughts": True}, "clamped"),
        (
            "publishers/google/models/gemini-2.5-flash",
            "high",
            {"thinkingBudget": 24576, "includeThoughts": True},
            "emulated",
        ),
        ("gemini-2.0-flash", "low", None, "dropped"),
        ("gemini-1.5-pro", "low", None, "dropped"),
        ("gemini-2.5-flash", "silly", None, "dropped"),
    ],
)
def test_effort_is_said_as_the_models_generation_takes_it(
    sent: Sent, model: str, effort: str, config: Json | None, action: str
) -> None:
    body, notes = sent({"model": model, "reasoning_effort": effort})
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert notes == {"reasoning_effort": action}


SCHEMA: Json = {
    "type": "object",
    "properties": {"name": {"type": ["string", "null"]}, "tree": {"$ref": "#/$defs/T"}, "kind": {"const": "k"}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"T": {"type": "object", "properties": {"size": {"type": "integer", "exclusiveMinimum": 0}}}},
}


def test_a_schema_is_sent_whole_where_the_model_takes_json_schema(sent: Sent) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    body, notes = sent({"response_format": wanted})
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert notes == {"response_format": "renamed"}


def test_a_schema_becomes_the_subset_where_the_model_takes_no_more(sent: Sent) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    body, notes = sent({"model": "gemini-2.0-flash", "response_format": wanted})
    schema = body["generationConfig"]["responseSchema"]
    assert schema["type"] == "OBJECT"
    assert schema["propertyOrdering"] == ["name", "tree", "kind"]
    assert schema["properties"]["name"] == {"type": "STRING", "nullable": True}
    assert schema["properties"]["kind"] == {"type": "STRING", "enum": ["k"]}
    assert schema["properties"]["tree"]["properties"]["size"] == {
        "type": "INTEGER",
        "description": '{"exclusiveMinimum": 0}',
    }
    assert "additionalProperties" in schema["description"]
    assert notes == {"response_format": "renamed", "responseSchema of a schema": "emulated"}


def test_any_json_object(sent: Sent) -> None:
    assert sent({"response_format": {"type": "json_object"}})[0]["generationConfig"] == {
        "responseMimeType": "application/json"
    }


def function(name: str, parameters: Json | None = None, **more: Any) -> Json:
    return {
        "type": "function",
        "function": {"name": name, **({"parameters": parameters} if parameters else {}), **more},
    }


def test_functions_are_declared_together_and_native_tools_pass(sent: Sent) -> None:
    plain = {"type": "object", "properties": {"x": {"type": "integer"}}}
    body, notes = sent(
        {
            "tools": [
                function("f", plain, description="d"),
                function("g", SCHEMA),
                function("h"),
                {"type": "google_search"},
                {"code_execution": {}},
                {"type": "googleMaps", "enableWidget": True},
                {"type": "web_search"},
                {"type": "bash_20250124"},
            ]
        }
    )
    declared = body["tools"][-1]["functionDeclarations"]
    assert declared[0] == {
        "name": "f",
        "description": "d",
        "parameters": {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}},
    }
    assert declared[1] == {"name": "g", "parametersJsonSchema": SCHEMA}
    assert declared[2] == {"name": "h"}
    assert body["tools"][:-1] == [
        {"googleSearch": {}},
        {"codeExecution": {}},
        {"googleMaps": {"enableWidget": True}},
        {"googleSearch": {}},
    ]
    assert notes == {"tools": "dropped"}


def test_a_schema_that_refers_to_itself_comes_to_an_end(sent: Sent) -> None:
    branch = {"$ref": "#/$defs/N"}
    node = {"type": "object", "properties": {"left": branch, "right": branch, "label": {"type": "string"}}}
    tools = [function("f", {**branch, "$defs": {"N": node}})]
    body, notes = sent({"model": "gemini-2.0-flash", "tools": tools})
    parameters = body["tools"][0]["functionDeclarations"][0]["parameters"]
    assert parameters["properties"]["label"] == {"type": "STRING"}
    assert parameters["properties"]["left"] == parameters["properties"]["right"] == {"type": "OBJECT"}
    assert notes == {"parameters of a schema": "emulated"}


def test_a_schema_whose_references_multiply_stays_small(sent: Sent) -> None:
    """Thirty levels of two references each would be a thousand million nodes."""
    levels = {
        f"L{n}": {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/L{n + 1}"}, "b": {"$ref": f"#/$defs/L{n + 1}"}},
        }
        for n in range(30)
    }
    schema = {"$ref": "#/$defs/L0", "$defs": {**levels, "L30": {"type": "string"}}}
    body, _ = sent({"model": "gemini-2.0-flash", "tools": [function("f", schema)]})
    assert len(str(body)) < 1_000_000


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("f")]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function("f"), function("g")]}},
            {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
        ),
    ],
    ids=str,
)
def test_the_choice_among_tools(sent: Sent, choice: Any, config: Json) -> None:
    body, notes = sent({"tools": [function("f"), function("g")], "tool_choice": choice})
    assert body["toolConfig"] == {"functionCallingConfig": config}
    assert notes == {}


def test_a_choice_among_nothing_is_dropped(sent: Sent) -> None:
    body, notes = sent({"tool_choice": "required"})
    assert "toolConfig" not in body
    assert notes == {"tool_choice": "dropped"}


def called(*calls: tuple[str, str, str], **more: Any) -> Json:
    made = [
        {"id": one, "type": "function", "function": {"name": name, "arguments": arguments}}
        for one, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made, **more}


def result(call_id: str, content: Any, **more: Any) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def test_results_have_their_calls_names_and_order_in_one_turn(sent: Sent) -> None:
    talk = [
        user("x"),
        called(("a", "f", '{"x": 1}'), ("b", "g", "")),
        result("b", '{"ok": true}'),
        result("a", "plain"),
        user("y"),
    ]
    body, notes = sent({"messages": talk})
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"x": 1}, "id": "a"}},
                {"functionCall": {"name": "g", "args": {}, "id": "b"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "a", "name": "f", "response": {"result": "plain"}}},
                {"functionResponse": {"id": "b", "name": "g", "response": {"ok": True}}},
                {"text": "y"},
            ],
        },
    ]
    assert notes == {}


def test_ids_that_we_made_are_not_sent_and_their_results_keep_the_order(sent: Sent) -> None:
    first, second = "gemini_0123456789ab_0", "gemini_0123456789ab_1"
    talk = [
        user("x"),
        called((first, "f", "{}"), (second, "f", "{}")),
        result(second, "2"),
        result(first, "1", is_error=True),
    ]
    body, _ = sent({"messages": talk})
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"error": "1"}}},
        {"functionResponse": {"name": "f", "response": {"result": "2"}}},
    ]
    assert body["contents"][1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}] * 2


@pytest.mark.parametrize(("model", "inside"), [("gemini-3-flash-preview", True), ("gemini-2.5-flash", False)])
def test_media_of_a_result(sent: Sent, model: str, inside: bool) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    blob = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    talk = [user("x"), called(("a", "f", "{}")), result("a", [{"type": "text", "text": "see"}, image])]
    body, notes = sent({"model": model, "messages": talk})
    response = {"id": "a", "name": "f", "response": {"result": "see"}}
    parts = body["contents"][2]["parts"]
    assert parts == (
        [{"functionResponse": {**response, "parts": [blob]}}] if inside else [{"functionResponse": response}, blob]
    )
    assert ("messages.tool.content" in notes) is not inside


def test_arguments_that_are_no_object_are_sent_as_text(sent: Sent) -> None:
    body, notes = sent({"messages": [user("x"), called(("a", "f", "{broken")), result("a", "r")]})
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"invalid_arguments": "{broken"}
    assert notes == {"messages.tool_calls.arguments": "emulated"}


def test_other_vendors_reasoning_is_not_sent(sent: Sent) -> None:
    blocks = [{"type": "thinking", "text": "t", "signature": "s", "provider": "anthropic"}]
    body, notes = sent(
        {
            "messages": [
                user("x"),
                {"role": "assistant", "content": "y", "reasoning_content": "t", "reasoning_blocks": blocks},
                user("z"),
            ]
        }
    )
    assert body["contents"][1] == {"role": "model", "parts": [{"text": "y"}]}
    assert notes == {"messages.reasoning": "dropped"}


def test_a_call_that_gemini_did_not_sign_is_marked_where_signatures_are_checked(sent: Sent) -> None:
    talk = [
        user("x"),
        called(("toolu_1", "f", "{}"), ("toolu_2", "f", "{}")),
        result("toolu_1", "1"),
        result("toolu_2", "2"),
    ]
    body, notes = sent({"model": "gemini-3-pro-preview", "messages": talk})
    first, second = body["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert notes == {"messages.tool_calls": "emulated"}
    assert "thoughtSignature" not in sent({"messages": talk})[0]["contents"][1]["parts"][0]


def test_a_signature_finds_its_call_without_the_vendors_layout(sent: Sent) -> None:
    """Clients that keep only what they know may lose `provider_blocks`."""
    blocks = [{"type": "signature", "signature": "AQID", "id": "c1", "index": 1, "provider": "gemini"}]
    talk = [user("x"), called(("c1", "f", "{}"), content="hm", reasoning_blocks=blocks), result("c1", "1")]
    body, _ = sent({"model": "gemini-3-pro-preview", "messages": talk})
    assert body["contents"][1]["parts"] == [
        {"text": "hm"},
        {"functionCall": {"name": "f", "args": {}, "id": "c1"}, "thoughtSignature": "AQID"},
    ]


def test_a_text_that_a_stage_rewrote_is_what_is_sent(sent: Sent) -> None:
    layout = [
        {"provider": "gemini", "type": "text", "characters": 5},
        {"provider": "gemini", "type": "text", "characters": 0},
    ]
    blocks = [{"type": "signature", "signature": "AQID", "index": 1, "provider": "gemini"}]
    body, _ = sent(
        {
            "messages": [
                user("x"),
                {"role": "assistant", "content": "rewritten", "provider_blocks": layout, "reasoning_blocks": blocks},
                user("y"),
            ]
        }
    )
    assert body["contents"][1]["parts"] == [{"text": "rewritten"}, {"text": "", "thoughtSignature": "AQID"}]


def test_other_operations_are_refused() -> None:
    class Other(Request):
        operation = "embeddings"

    with pytest.raises(BadRequestError, match="embeddings"):
        GeminiCodec().encode(Call.start(Other(model="m")))
