"""Requests to Gemini, read as canonical ones and written again: nothing is lost that the vendor would notice."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs.gemini import GeminiCodec, canonical_request
from glassway.providers.codecs.gemini_names import camelised
from glassway.testing import FakeClock

Json = dict[str, Any]
CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[3] / "../shared/corpus").resolve()


def _requests() -> list[Any]:
    params = []
    for path in sorted((*CORPUS.glob("gemini/generate-*.json"), *CORPUS.glob("vertex/generate-*.json"))):
        request = json.loads(path.read_text())["request"] or {}
        if request.get("json"):
            model, verb = re.search(r"models/([^:]+):(\w+)", request["url"]).groups()  # type: ignore[union-attr]
            params.append(pytest.param(request["json"], model, "stream" in verb, id=f"{path.parent.name}-{path.stem}"))
    return params


REQUESTS = _requests()
RECORDED = pytest.mark.skipif(not REQUESTS, reason=f"no recorded exchanges at {CORPUS}")


def encode(request: ChatRequest) -> tuple[Json, str, Call]:
    call = Call.start(request, clock=FakeClock())
    encoded = GeminiCodec().encode(call)
    return json.loads(encoded.content), encoded.path, call


def normal(body: Json) -> Json:
    """A body without differences that mean nothing to the vendor:

    * names in snake_case are names in camelCase; one object is a list of one (protobuf's JSON, `tools`, `parts`);
    * an empty `generationConfig`, `systemInstruction.role`, and a `description` of "" or null are what their absence means;
    * consecutive turns of one role are one turn;
    * a schema under `parameters` and the same under `parametersJsonSchema` (`response...`), with types in either case;
      an empty object's schema and none are the same parameters;
    * neighbouring texts of a model turn without a signature are one text; an empty text says nothing;
    * a URL-safe base64 is the same bytes; `topK: 50.0` is 50.
    """
    body = camelised(json.loads(json.dumps(body)))
    body["contents"] = [{"role": "user", **turn, "parts": _listed(turn["parts"])} for turn in body["contents"]]
    body["contents"] = _merged(body["contents"])
    if "systemInstruction" in body:
        body["systemInstruction"] = {"parts": _listed(body["systemInstruction"]["parts"])}
    if "tools" in body:
        body["tools"] = sorted((_tool(tool) for tool in _listed(body["tools"])), key=lambda tool: sorted(tool))
    config = body.pop("generationConfig", {})
    schema = config.pop("responseSchema", None) or config.pop("responseJsonSchema", None)
    if schema:
        config["schema"] = _schema(schema)
    return body | ({"generationConfig": config} if config else {})


def _merged(turns: list[Json]) -> list[Json]:
    merged: list[Json] = []
    for turn in turns:
        if merged and merged[-1]["role"] == turn["role"]:
            merged[-1]["parts"] += turn["parts"]
        else:
            merged.append(turn)
    return [turn | {"parts": _joined(turn["parts"])} if turn["role"] == "model" else turn for turn in merged]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _tool(tool: Json) -> Json:
    return {
        name: value if name != "functionDeclarations" else [_function(one) for one in value]
        for name, value in tool.items()
    }


def _function(declaration: Json) -> Json:
    schema = declaration.pop("parameters", None) or declaration.pop("parametersJsonSchema", None)
    declaration = {name: value for name, value in declaration.items() if value not in ("", None)}
    return declaration | ({"schema": _schema(schema)} if schema and schema.get("properties") else {})


def _schema(value: Any) -> Any:
    if isinstance(value, dict):
        renamed = {"property_ordering": "propertyOrdering"}
        return {
            renamed.get(name, name): one.lower() if name == "type" and isinstance(one, str) else _schema(one)
            for name, one in value.items()
            if not (name == "required" and one == [])
        }
    return [_schema(one) for one in value] if isinstance(value, list) else value


def _joined(parts: list[Json]) -> list[Json]:
    joined: list[Json] = []
    for part in parts:
        if isinstance(signature := part.get("thoughtSignature"), str):
            part = part | {"thoughtSignature": _bytes(signature)}
        if part == {"text": ""}:
            continue
        if joined and part.keys() == joined[-1].keys() and part.keys() in ({"text"}, {"text", "thought"}):
            joined[-1]["text"] += part["text"]
        else:
            joined.append(part)
    return joined


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_").rstrip("=") + "==")


@RECORDED
@pytest.mark.parametrize(("body", "model", "stream"), REQUESTS)
def test_a_recorded_request_is_sent_again_as_it_was(body: Json, model: str, stream: bool) -> None:
    sent, path, _ = encode(canonical_request(body, model=model, stream=stream))
    assert normal(sent) == normal(body)
    assert path == f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"


@RECORDED
@pytest.mark.parametrize(("body", "model", "stream"), REQUESTS)
def test_a_recorded_request_survives_being_json_in_between(body: Json, model: str, stream: bool) -> None:
    """The canonical request may cross a process: cache keys, replays, queues."""
    request = canonical_request(body, model=model, stream=stream)
    again = ChatRequest.model_validate_json(request.model_dump_json(exclude_unset=True))
    assert encode(again)[0] == encode(request)[0]


@RECORDED
@pytest.mark.parametrize(("body", "model", "stream"), REQUESTS)
def test_what_is_sent_is_what_the_sdks_types_allow(
    faults: Callable[[Json], list[str]], body: Json, model: str, stream: bool
) -> None:
    sent, _, call = encode(canonical_request(body, model=model, stream=stream))
    assert faults(sent) == []
    assert {fact.action for fact in call.trail(TRANSLATION)} <= {"renamed"}


def test_the_judge_finds_faults(faults: Callable[[Json], list[str]]) -> None:
    good: Json = {
        "contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "generationConfig": {"topK": 1, "thinkingConfig": {"thinkingBudget": 0}},
    }
    assert faults(good) == []
    assert faults(good | {"messages": []})
    assert faults(good | {"contents": [{"role": "user", "parts": [{"text": "x", "wrong": 1}]}]})
    assert faults(good | {"generationConfig": {"top": 1}})
    assert faults(good | {"generationConfig": {"thinkingConfig": {"budget": 1}}})
    assert faults(good | {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"$ref": "x"}}]}]})


EVERYTHING: Json = {
    "systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "q"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
                {
                    "fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"},
                    "videoMetadata": {"startOffset": "1s"},
                },
                {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True},
                {"text": "more", "thought": True, "thoughtSignature": "AQID"},
                {"text": "I run it."},
                {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "BAUG"},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                {"text": "One.", "thoughtSignature": "BwgJ"},
                {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "CgsM"},
                {"functionCall": {"name": "f", "args": {"x": 2}}},
                {"functionCall": {"id": "c3", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"result": "one"}}},
                {"functionResponse": {"name": "f", "response": {"output": [2]}, "scheduling": "SILENT"}},
                {
                    "functionResponse": {
                        "id": "c3",
                        "name": "g",
                        "response": {},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
                    }
                },
                {"text": "go on"},
            ],
        },
    ],
    "tools": [
        {"googleSearch": {}},
        {"codeExecution": {}},
        {"urlContext": {}},
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {
                            "x": {"type": "INTEGER", "nullable": True},
                            "type": {"type": "STRING", "enum": ["A", "B"]},
                            "at": {"anyOf": [{"type": "STRING", "format": "date-time"}, {"type": "NUMBER"}]},
                        },
                        "required": ["x"],
                    },
                },
                {"name": "g"},
            ]
        },
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
        "retrievalConfig": {"languageCode": "en"},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/1",
    "labels": {"a_b": "c"},
    "serviceTier": "flex",
    "generationConfig": {
        "temperature": 0.5,
        "topP": 0.5,
        "topK": 3,
        "candidateCount": 2,
        "maxOutputTokens": 5,
        "stopSequences": ["a", "b"],
        "seed": 1,
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.5,
        "responseLogprobs": True,
        "logprobs": 2,
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {"a_b": {"type": "string"}},
            "additionalProperties": False,
        },
        "responseModalities": ["TEXT"],
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    },
}


def test_everything_at_once_is_sent_again_as_it_was(faults: Callable[[Json], list[str]]) -> None:
    sent, _, call = encode(canonical_request(EVERYTHING, model="gemini-3-flash-preview"))
    assert sent["contents"] == EVERYTHING["contents"]
    assert normal(sent) == normal(EVERYTHING)
    assert faults(sent) == []
    assert [fact.action for fact in call.trail(TRANSLATION)] == ["renamed"]


def test_what_openai_has_words_for_is_said_in_them() -> None:
    request = canonical_request(EVERYTHING, model="gemini-3-flash-preview")
    assert [message.role for message in request.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "user",
    ]
    calls = request.messages[2].tool_calls or ()
    results = request.messages[3:6]
    assert [message.tool_call_id for message in results] == [call.id for call in calls]
    assert [message.name for message in results] == ["f", "f", "g"]
    assert results[0].content == "one"
    assert request.messages[2].reasoning_content == "hmmore"
    assert (request.temperature, request.top_k, request.n, request.max_completion_tokens) == (0.5, 3, 2, 5)
    assert request.tools is not None
    schema = next(tool.function for tool in request.tools if tool.function).parameters
    assert schema is not None
    assert schema["properties"]["x"]["type"] == ["integer", "null"]
    assert schema["properties"]["type"] == {"type": "string", "enum": ["A", "B"]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": "x"},
        {"contents": [{"parts": [{"functionCall": {}}], "role": "model"}]},
        {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"temperature": "hot"}},
    ],
    ids=str,
)
def test_a_body_that_is_no_request_is_refused_without_repeating_it(body: Json) -> None:
    with pytest.raises(BadRequestError) as caught:
        canonical_request(body, model="m")
    assert "hot" not in str(caught.value)
