"""What the vendors' official SDKs say against a body that is to be sent to them: independent judges of requests.

Each `..._faults` returns what is wrong, and nothing for a good body; fields that the SDK does not declare are faults, at
every depth. An SDK is loaded when it is first asked.
"""

from __future__ import annotations

import copy
import inspect
import typing
import warnings
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

Json = dict[str, Any]


def _closed(kind: Any, *, open_definitions: tuple[str, ...] = ()) -> Draft202012Validator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDKs' types have fields that no JSON schema can say
        schema = TypeAdapter(kind).json_schema()
    for name, definition in {"": schema, **schema.get("$defs", {})}.items():
        if "properties" in definition and name not in open_definitions:
            definition["additionalProperties"] = False
    return Draft202012Validator(schema)


def _errors(validator: Draft202012Validator, body: Any) -> list[str]:
    return sorted(f"{error.json_path}: {_deepest(error).message[:200]}" for error in validator.iter_errors(body))


def _deepest(error: Any) -> Any:
    """Of a union's many complaints, the one that got farthest."""
    best = best_match(error.context or ())
    return error if best is None else best


@cache
def _openai(*, stream: bool) -> Draft202012Validator:
    from openai.types.chat import completion_create_params as params

    return _closed(params.CompletionCreateParamsStreaming if stream else params.CompletionCreateParamsNonStreaming)


def openai_faults(body: Json) -> list[str]:
    """Chat Completions, by `openai`; the function's name beside its result is taken, as recordings show, and not declared."""
    if any(message.keys() >= {"tool_call_id", "name"} for message in body["messages"]):
        messages = [
            {name: value for name, value in message.items() if name != "name" or message["role"] != "tool"}
            for message in body["messages"]
        ]
        body = body | {"messages": messages}
    return _errors(_openai(stream=body.get("stream") is True), body)


@cache
def _responses(*, stream: bool) -> Draft202012Validator:
    from openai.types.responses import response_create_params as params

    return _closed(params.ResponseCreateParamsStreaming if stream else params.ResponseCreateParamsNonStreaming)


def responses_faults(body: Json) -> list[str]:
    """The Responses API, by `openai`."""
    return _errors(_responses(stream=body.get("stream") is True), body)


@cache
def _groq() -> Draft202012Validator:
    from groq.types.chat import completion_create_params as params

    return _closed(params.CompletionCreateParams)


def groq_faults(body: Json) -> list[str]:
    """Groq's Chat Completions, by `groq`; its page on streams names `stream_options`, which the SDK does not declare yet."""
    return _errors(_groq(), {name: value for name, value in body.items() if name != "stream_options"})


@cache
def _mistral() -> Draft202012Validator:
    from mistralai.client import models

    return _closed(models.ChatCompletionRequest)


def mistral_faults(body: Json) -> list[str]:
    """Mistral's Chat Completions, by `mistralai`."""
    return _errors(_mistral(), body)


def compatible_faults(body: Json, *answers_fields: str) -> list[str]:
    """A server that publishes no types: OpenAI's, with these further fields in what the assistant said, and what such
    servers are known to take: their sampling, and annotations of answers.
    """
    bare = _without_answers_fields(body, "annotations", *answers_fields)
    return openai_faults(_without_marks({name: value for name, value in bare.items() if name not in _SERVERS_OWN}))


_SERVERS_OWN = frozenset({"top_k", "min_p", "repetition_penalty"})


def deepseek_faults(body: Json) -> list[str]:
    """OpenAI's, with `reasoning_content` in answers. Source: https://api-docs.deepseek.com/guides/thinking_mode"""
    thinking = body.get("thinking", {"type": "enabled"})
    assert thinking in ({"type": "enabled"}, {"type": "disabled"})
    return compatible_faults({name: value for name, value in body.items() if name != "thinking"}, "reasoning_content")


def openrouter_faults(body: Json) -> list[str]:
    """OpenAI's, with reasoning and its signed form in answers, and marks for caches.

    Source: https://openrouter.ai/docs/use-cases/reasoning-tokens, https://openrouter.ai/docs/features/prompt-caching
    """
    declared = {name: value for name, value in body.items() if name not in _OPENROUTERS_OWN}
    tools = [tool for tool in body.get("tools") or () if not tool["type"].startswith("openrouter:")]
    return compatible_faults(declared | ({"tools": tools} if tools else {}), "reasoning", "reasoning_details")


_OPENROUTERS_OWN = frozenset({"reasoning", "provider", "models", "plugins", "usage", "tools"})
"""Source: https://openrouter.ai/docs/api-reference/parameters"""


def _without_answers_fields(body: Json, *names: str) -> Json:
    body = copy.deepcopy(body)
    for message in body["messages"]:
        for name in names if message["role"] == "assistant" else ():
            message.pop(name, None)
    return body


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_marks(one) for name, one in value.items() if name != "cache_control"}
    return [_without_marks(one) for one in value] if isinstance(value, list) else value


SAMPLING = ("temperature", "top_p", "top_k")
"""The newest SDK of Anthropic no longer declares them; older models take them."""


@cache
def _anthropic(stream: bool, beta: bool) -> Draft202012Validator:
    import anthropic.types
    import anthropic.types.beta

    module = anthropic.types.beta.message_create_params if beta else anthropic.types.message_create_params
    return _closed(module.MessageCreateParamsStreaming if stream else module.MessageCreateParamsNonStreaming)


def anthropic_faults(body: Json, *, beta: bool = False) -> list[str]:
    """The Messages API, by `anthropic`."""
    declared = {name: value for name, value in body.items() if name not in SAMPLING}
    return _errors(_anthropic(bool(body.get("stream")), beta), declared)


_COHERES_METHODS = {"/v2/chat": "chat", "/v2/embed": "embed", "/v2/rerank": "rerank"}


@cache
def _cohere(method: str) -> Draft202012Validator:
    """The parameters of the SDK's method: there is no type of a whole body."""
    import cohere.v2.raw_client as raw

    function = getattr(raw.RawV2Client, method)
    hints = typing.get_type_hints(function, vars(raw), include_extras=True)
    taken = inspect.signature(function).parameters
    fields: dict[str, Any] = {
        name: (hint, ... if taken[name].default is inspect.Parameter.empty else None)
        for name, hint in hints.items()
        if name not in ("return", "request_options")
    }
    return _closed(create_model("Body", __base__=BaseModel, **fields, stream=(bool, None)))


def cohere_faults(path: str, body: Json) -> list[str]:
    """The v2 API, by `cohere`."""
    return _errors(_cohere(_COHERES_METHODS[path]), body)


@cache
def _ollama(name: str) -> Draft202012Validator:
    import ollama._types as types

    # JSON schemas, of which the SDK's models name only some keywords
    return _closed(getattr(types, name), open_definitions=("Parameters", "Property"))


def ollama_faults(path: str, body: Json) -> list[str]:
    """Ollama's own API, by `ollama`. Its models say nothing of a message's fields, which is why each is judged by itself."""
    faults = _errors(_ollama("EmbedRequest" if path == "/api/embed" else "ChatRequest"), body)
    for message in body.get("messages", ()):
        faults += _errors(_ollama("Message"), _declared(message))
    documented = {name: value for name, value in body.get("options", {}).items() if name != "min_p"}
    return faults + _errors(_ollama("Options"), documented)


def _declared(message: Json) -> Json:
    """Less what the server takes and the SDK does not declare yet: the ids and places of tool calls."""
    message = copy.deepcopy({name: value for name, value in message.items() if name != "tool_call_id"})
    message["images"] = [{"value": image} for image in message.get("images", ())]
    for call in message.get("tool_calls", ()):
        call.pop("id", None)
        call["function"].pop("index", None)
    return message


LATE = {"thinkingConfig", "imageConfig"}
"""Fields of Gemini's `generationConfig` that the SDK has on its own class of the configuration."""


@cache
def _gemini() -> dict[str, Any]:
    """The body has no type of its own in the SDK: its fields have. Source: google/genai/models.py, `_GenerateContentConfig_to_mldev`."""
    from google.genai import types

    return {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "safetySettings": list[types.SafetySetting],
        "generationConfig": types.GenerationConfig,
        "cachedContent": str,
        "serviceTier": types.ServiceTier,
        "labels": dict[str, str],
        "store": bool,
    }


def gemini_faults(body: Json) -> list[str]:
    """`generateContent`, by `google-genai`, whose models forbid unknown fields and read values as the vendor would."""
    from google.genai import types

    found = [f"unknown field {name}" for name in body if name not in _gemini()]
    for name in body.keys() & _gemini().keys():
        value = body[name]
        if name == "generationConfig":
            found += _problems(types.GenerateContentConfig, {key: value[key] for key in value.keys() & LATE})
            value = {key: one for key, one in value.items() if key not in LATE}
        found += _problems(_gemini()[name], value)
    return found


def _problems(kind: Any, value: Any) -> list[str]:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


def converse_faults(path: str, body: Json) -> list[str]:
    """Bedrock's Converse, by botocore's service model."""
    from bedrock_exchanges import faults

    return [found] if (found := faults(body, stream=path.endswith("-stream"))) else []
