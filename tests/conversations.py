"""Conversations that began with a recorded exchange at one vendor and go on at any other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import judges
from bedrock_exchanges import boto_reads, recorded
from recordings import CORPUS, Exchange

from glassway.pipeline.call import Call, CallOptions, Target
from glassway.pipeline.facts import TRANSLATION, Translation
from glassway.pipeline.types import ChatRequest, Message
from glassway.providers.catalogue import row_of
from glassway.providers.codec import Codec, Encoded
from glassway.providers.codecs import (
    anthropic_inbound,
    bedrock_inbound,
    cohere_inbound,
    gemini_inbound,
    ollama_inbound,
    responses_inbound,
)
from glassway.providers.codecs.vertex import Place, VertexCodec
from glassway.providers.vendors import codec_of
from glassway.testing import FakeClock

Json = dict[str, Any]
Faults = Callable[[Encoded, Json], list[str]]


@dataclass(frozen=True)
class Vendor:
    """A vendor's protocol: who speaks it, with which model, and who judges what is sent."""

    label: str
    name: str
    model: str
    faults: Faults
    api: str = "chat"

    @property
    def codec(self) -> Codec:
        if self.name == "vertex":
            return VertexCodec(lambda _: Place("p", "global"))
        return codec_of(row_of(self.name))

    def call(self, request: ChatRequest) -> Call:
        options = CallOptions(settings={"api": self.api} if self.api != "chat" else {})
        return Call.start(request, options=options, clock=FakeClock()).with_target(Target(self.name, self.model))

    def encode(self, request: ChatRequest) -> tuple[Encoded, Json, list[Translation]]:
        """What is sent, its JSON, and the facts."""
        call = self.call(request)
        encoded = self.codec.encode(call)
        return encoded, json.loads(encoded.content), list(call.trail(TRANSLATION))


def _by_body(faults: Callable[[Json], list[str]]) -> Faults:
    return lambda _, body: faults(body)


def _compatible(*fields: str) -> Faults:
    """Servers that publish no types: OpenAI's, and `fields` in what the assistant said."""
    return lambda _, body: judges.compatible_faults(body, *fields)


def _messages(body: Json) -> list[str]:
    """By the stable types or, where the conversation uses what is in beta, by those."""
    body = {name: value for name, value in body.items() if name != "output_format"}  # its older name of output_config
    return judges.anthropic_faults(body) and judges.anthropic_faults(body, beta=True)


def _claude_on_vertex(_: Encoded, body: Json) -> list[str]:
    assert body["anthropic_version"]
    rest = {name: value for name, value in body.items() if name != "anthropic_version"}
    return _messages({"model": "claude-x", **rest})


VENDORS: dict[str, Vendor] = {
    vendor.label: vendor
    for vendor in (
        Vendor("openai", "openai", "gpt-4o", _by_body(judges.openai_faults)),
        Vendor("openai-responses", "openai", "gpt-5-mini", _by_body(judges.responses_faults), api="responses"),
        Vendor("azure", "azure", "gpt-4o", _by_body(judges.openai_faults)),
        Vendor("anthropic", "anthropic", "claude-sonnet-4-5", _by_body(_messages)),
        Vendor("gemini", "gemini", "gemini-2.5-flash", _by_body(judges.gemini_faults)),
        Vendor("vertex", "vertex", "gemini-2.5-flash", _by_body(judges.gemini_faults)),
        Vendor("vertex-claude", "vertex", "claude-sonnet-4-5@20250929", _claude_on_vertex),
        Vendor(
            "bedrock",
            "bedrock",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            lambda sent, body: judges.converse_faults(sent.path, body),
        ),
        Vendor(
            "bedrock-nova",
            "bedrock",
            "us.amazon.nova-lite-v1:0",
            lambda sent, body: judges.converse_faults(sent.path, body),
        ),
        Vendor(
            "cohere", "cohere", "command-a-reasoning-08-2025", lambda sent, body: judges.cohere_faults(sent.path, body)
        ),
        Vendor("ollama", "ollama", "qwen3", lambda sent, body: judges.ollama_faults(sent.path, body)),
        Vendor("groq", "groq", "openai/gpt-oss-20b", _by_body(judges.groq_faults)),
        Vendor("mistral", "mistral", "magistral-small-latest", _by_body(judges.mistral_faults)),
        Vendor("deepseek", "deepseek", "deepseek-reasoner", _by_body(judges.deepseek_faults)),
        Vendor("openrouter", "openrouter", "openai/gpt-4o-mini", _by_body(judges.openrouter_faults)),
        Vendor("together", "together", "m", _compatible("reasoning_content")),
        Vendor("huggingface", "huggingface", "m", _compatible("reasoning_content")),
        Vendor("xai", "xai", "grok-4", _compatible("reasoning_content")),
        Vendor("vllm", "vllm", "m", _compatible("reasoning_content")),
        Vendor("llamacpp", "llamacpp", "m", _compatible("reasoning_content")),
    )
}


def _asked(one: Exchange) -> ChatRequest:
    """The recorded request as a canonical one; one question where only the answer was recorded."""
    body = one.request
    if body is None:
        return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]})
    if one.api == "messages" or (one.vendor == "vertex" and "anthropic_version" in body):
        return anthropic_inbound.canonical_request(body).but(model="m")
    if one.api == "converse":
        return bedrock_inbound.canonical_request(body, "m", stream=one.streaming)
    if one.api == "generate":
        model = re.search(r"models/([^:]+)", unquote(one.url))
        return gemini_inbound.canonical_request(body, model=model[1] if model else "m", stream=one.streaming)
    if one.api == "responses":
        return responses_inbound.canonical_request(body, provider=one.vendor)
    if one.vendor == "cohere":
        return cohere_inbound.canonical_request(body)
    if one.vendor == "ollama":
        return ollama_inbound.canonical_request(body)
    return ChatRequest.model_validate({"model": "m", **body})


def vendor_of(one: Exchange) -> Vendor:
    """Whom the recorded exchange was with."""
    if one.vendor == "vertex" and "anthropic" in one.kind:
        return VENDORS["vertex-claude"]
    return VENDORS[f"{one.vendor}-responses" if one.api == "responses" else one.vendor]


def answer(one: Exchange) -> Message:
    """What the vendor answered, as its codec reads it."""
    vendor = vendor_of(one)
    call, codec = vendor.call(_asked(one)), vendor.codec
    if not one.streaming:
        return codec.decode(call, one.body).message  # type: ignore[attr-defined,no-any-return]  # chats only
    decoder = codec.decoder(call)
    chunks = [*decoder.feed(one.body), *decoder.finish()]
    return codec.assemble(call, chunks).message  # type: ignore[attr-defined,no-any-return]  # as above


def continued(one: Exchange) -> ChatRequest:
    """The conversation with the answer, with results for its tool calls, and with a further question."""
    request, said = _asked(one), answer(one)
    results = [
        Message(role="tool", tool_call_id=call.id, content=f"result {place}")
        for place, call in enumerate(said.tool_calls or ())
    ]
    return request.but(
        messages=(*request.messages, said, *(results or [Message(role="user", content="And then?")])), stream=False
    )


_SIGNED = {"signature", "thoughtSignature", "thought_signature", "encrypted_content", "redactedContent"}
_ENCRYPTED = {"redacted_thinking", "reasoning.encrypted"}


def signatures(value: Any) -> Iterator[str]:
    """Everything signed or encrypted in JSON of whatever vendor, in its order."""
    if isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, str) and (name in _SIGNED or (name == "data" and value.get("type") in _ENCRYPTED)):
                yield one
            else:
                yield from signatures(one)
    elif isinstance(value, list):
        for one in value:
            yield from signatures(one)


def signed_by_the_vendor(one: Exchange) -> str:
    """What the recorded answer is signed with, one after the other, read without our codecs."""
    return "".join(signatures(_raw(one)))


def _raw(one: Exchange) -> Any:
    if one.api == "converse":
        return boto_reads(recorded(CORPUS / f"{one.name}.json"))
    if not one.streaming:
        return json.loads(one.body)
    if one.body.lstrip()[:1] in b"[{":
        lines = one.body.splitlines() if one.vendor == "ollama" else [one.body]
    else:
        lines = [line[5:] for line in one.body.splitlines() if line.startswith(b"data:") and b"[DONE]" not in line]
    events = [json.loads(line) for line in lines if line.strip()]
    return [event for event in events if one.api != "responses" or event["type"] == "response.output_item.done"]
