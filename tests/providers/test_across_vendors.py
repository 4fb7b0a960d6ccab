"""Conversations with tools and signed reasoning that began at one vendor, on real recorded answers, and go on at every other."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from conversations import VENDORS, Vendor, answer, continued, signatures, signed_by_the_vendor, vendor_of
from recordings import CORPUS, exchange

from glassway.pipeline.types import ChatRequest, Message
from glassway.providers.foreign import PARAMETERS

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no recorded exchanges at {CORPUS}")

STARTS = (
    "anthropic/messages-tool-call-2",
    "anthropic/messages-tool-call-stream-5",
    "anthropic/messages-parallel-tools-2",
    "anthropic/messages-reasoning-stream-1",
    "anthropic/messages-server-tools-4",
    "anthropic/messages-tool-result-stream-4",
    "gemini/generate-parallel-tools-1",
    "gemini/generate-parallel-tools-stream-3",
    "gemini/generate-server-tools-3",
    "gemini/generate-audio-in-5",
    "vertex/generate-parallel-tools-stream-1",
    "openai/responses-parallel-tools-7",
    "openai/responses-tool-call-stream-5",
    "openai/chat-parallel-tools-2",
    "openai/chat-parallel-tools-stream-2",
    "bedrock/converse-reasoning-2",
    "bedrock/converse-reasoning-stream-1",
    "bedrock/converse-parallel-tools-1",
    "deepseek/chat-parallel-tools-4",
    "deepseek/chat-tool-call-stream-2",
    "openrouter/chat-parallel-tools-3",
    "openrouter/chat-parallel-tools-stream-4",
    "openrouter/chat-tool-result-7",
    "xai/chat-parallel-tools-2",
    "xai/chat-parallel-tools-stream-1",
    "cohere/chat-parallel-tools-1",
    "cohere/chat-parallel-tools-stream-1",
    "cohere/chat-document-7",
    "mistral/chat-reasoning-4",
    "mistral/chat-tool-call-stream-2",
    "groq/chat-parallel-tools-3",
    "groq/chat-parallel-tools-stream-1",
    "ollama/chat-tool-call-1",
    "ollama/chat-tool-call-stream-1",
)
"""Unary and streamed: reasoning that is signed, encrypted or plain, tools called at once, built-in tools, documents, plans."""

UNSIGNED = (
    "anthropic/messages-parallel-tools-2",
    "anthropic/messages-server-tools-4",
    "anthropic/messages-tool-result-stream-4",
    "bedrock/converse-reasoning-2",
    "bedrock/converse-parallel-tools-1",
)
HAVE_SIGNATURES = ("anthropic/", "gemini/", "vertex/", "openai/responses", "bedrock/", "openrouter/")
SIGNED = tuple(start for start in STARTS if start.startswith(HAVE_SIGNATURES) and start not in UNSIGNED)
"""Those whose answers are signed or encrypted."""

FAMILIES = ({"gemini", "vertex"}, {"anthropic", "vertex-claude"}, {"anthropic", "bedrock"})
"""Who reads whose signatures. Claude's hold on every platform, and Bedrock does not say which model's its own are.

Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#thinking-encryption
"""

OURS = ('"provider_blocks"', '"reasoning_blocks"', '"tool_call_delta"')


@cache
def conversation(start: str) -> ChatRequest:
    return continued(exchange(start))


@cache
def signed(start: str) -> str:
    return signed_by_the_vendor(exchange(start))


def reads(vendor: Vendor, start: str) -> bool:
    """Whether the conversation goes on at home."""
    home = vendor_of(exchange(start)).label
    if vendor.label == "anthropic" and home == "bedrock":
        return False
    return vendor.label == home or any({vendor.label, home} <= family for family in FAMILIES)


def test_the_conversations_are_worth_it() -> None:
    begun = {exchange(start).vendor for start in STARTS}
    assert begun >= {"anthropic", "gemini", "openai", "bedrock", "deepseek", "openrouter", "cohere", "mistral", "groq"}
    assert tuple(start for start in STARTS if signed(start)) == SIGNED
    assert sum(exchange(start).streaming for start in STARTS) >= 12
    assert sum(len(answer(exchange(start)).tool_calls or ()) > 1 for start in STARTS) >= 12


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.label)
@pytest.mark.parametrize("start", STARTS)
def test_it_goes_on_by_the_vendors_own_types(start: str, vendor: Vendor) -> None:
    encoded, body, _ = vendor.encode(conversation(start))
    assert vendor.faults(encoded, body) == []
    text = encoded.content.decode()
    assert [name for name in OURS if name in text] == []


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.label)
@pytest.mark.parametrize("start", STARTS)
def test_tools_and_their_results_go_along(start: str, vendor: Vendor) -> None:
    encoded, _, _ = vendor.encode(conversation(start))
    text = encoded.content.decode()
    calls = answer(exchange(start)).tool_calls or ()
    assert all(call.function is not None and f'"{call.function.name}"' in text for call in calls)
    assert all(f"result {place}" in text for place in range(len(calls)))


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.label)
@pytest.mark.parametrize("start", SIGNED)
def test_signatures_stay_at_home(start: str, vendor: Vendor) -> None:
    _, body, facts = vendor.encode(conversation(start))
    sent = "".join(signatures(body))
    if reads(vendor, start):
        assert signed(start) in sent
        return
    assert not any(one in json.dumps(body) for one in signatures_of(start))
    lost = [fact.parameter for fact in facts if fact.action == "dropped" and "reasoning" in fact.parameter]
    assert lost or start.startswith(("gemini", "vertex"))  # whose tool calls may be signed without any reasoning


def signatures_of(start: str) -> list[str]:
    blocks = answer(exchange(start)).reasoning_blocks or ()
    return [one for block in blocks for one in (block.signature, block.data) if one]


@pytest.mark.parametrize("start", SIGNED)
@pytest.mark.parametrize("between", ["openai/chat-parallel-tools-2", "gemini/generate-parallel-tools-1"])
def test_signatures_survive_a_turn_at_another_vendor(start: str, between: str) -> None:
    """There and back: what the first vendor signed is still there, and nothing of the other's."""
    request, other = conversation(start), answer(exchange(between))
    results = tuple(Message(role="tool", tool_call_id=call.id, content="r") for call in other.tool_calls or ())
    longer = request.but(messages=(*request.messages, other, *results))
    home = vendor_of(exchange(start))
    encoded, body, _ = home.encode(longer)
    assert signed(start) in "".join(signatures(body))
    assert home.faults(encoded, body) == []
    if not reads(home, between):
        assert not any(one in json.dumps(body) for one in signatures_of(between))


@pytest.mark.parametrize("vendor", ["openai", "azure", "groq", "mistral", "deepseek", "vllm", "openai-responses"])
def test_parameters_of_other_protocols_are_left_behind(vendor: str) -> None:
    taken = {"deepseek": {"thinking"}, "groq": PARAMETERS["groq"], "mistral": PARAMETERS["mistral"]}
    taken |= {"vllm": PARAMETERS["servers"] | {"documents"}, "openai-responses": PARAMETERS["responses"]}
    names = frozenset().union(*PARAMETERS.values()) - taken.get(vendor, set())
    asked: dict[str, Any] = {name: {"a": 1} for name in names}
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}], **asked})
    _, body, facts = VENDORS[vendor].encode(request)
    assert body.keys() & names == set()
    assert {fact.parameter for fact in facts if fact.action == "dropped"} >= names - {"reasoning", "text", "format"}


BUDGET = {"type": "enabled", "budget_tokens": 2048}
CALLED = [
    {"role": "user", "content": "x"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "1", "content": "r"},
]


@pytest.mark.parametrize(
    ("vendor", "given", "expected", "action"),
    [
        ("cohere", BUDGET, {"type": "enabled", "token_budget": 2048}, "renamed"),
        ("cohere", {"type": "adaptive"}, {"type": "enabled"}, "renamed"),
        ("cohere", {"type": "enabled", "token_budget": 9}, {"type": "enabled", "token_budget": 9}, None),
        ("anthropic", {"type": "enabled", "token_budget": 2048}, BUDGET, "renamed"),
        ("anthropic", {"type": "enabled"}, {"type": "enabled", "budget_tokens": 8192}, "renamed"),
        ("anthropic", {"type": "enabled", "token_budget": 99_999}, None, "dropped"),
        ("anthropic", BUDGET, BUDGET, None),
        ("anthropic", {"type": "disabled"}, {"type": "disabled"}, None),
    ],
)
def test_thinking_has_other_fields_elsewhere(vendor: str, given: Any, expected: Any, action: str | None) -> None:
    asked = {"model": "m", "messages": CALLED[:1], "max_tokens": 10_000, "thinking": given}
    _, body, facts = VENDORS[vendor].encode(ChatRequest.model_validate(asked))
    assert body.get("thinking") == expected
    assert next((fact.action for fact in facts if fact.parameter == "thinking"), None) == action


@pytest.mark.parametrize("vendor", ["anthropic", "bedrock", "vertex-claude"])
def test_nobody_thinks_on_after_a_call_without_signed_reasoning(vendor: str) -> None:
    """The vendor refuses that: expected `thinking`, found `tool_use`."""
    asked = {"model": "m", "messages": CALLED, "max_tokens": 10_000, "thinking": BUDGET}
    encoded, _, facts = VENDORS[vendor].encode(ChatRequest.model_validate(asked))
    assert '"thinking"' not in encoded.content.decode()
    assert [fact.action for fact in facts if fact.parameter == "thinking"] == ["dropped"]


@pytest.mark.parametrize("place", ["https://generativelanguage.googleapis.com/v1beta/files/a", "gs://bucket/a"])
@pytest.mark.parametrize("vendor", ["anthropic", "openai", "openai-responses", "groq", "mistral", "vllm"])
def test_files_in_googles_store_are_nobody_elses(vendor: str, place: str) -> None:
    stored = [
        {"type": "text", "text": "t"},
        {"type": "file", "file": {"file_id": place, "mime_type": "application/pdf"}},
    ]
    asked = {"model": "m", "messages": [{"role": "user", "content": stored}]}
    encoded, _, facts = VENDORS[vendor].encode(ChatRequest.model_validate(asked))
    assert place not in encoded.content.decode()
    assert "messages.content.file" in {fact.parameter for fact in facts if fact.action == "dropped"}


@pytest.mark.parametrize(("vendor", "name"), [("anthropic", "url"), ("openai-responses", "file_url")])
def test_a_public_address_is_read_by_those_who_can(vendor: str, name: str) -> None:
    stored = [{"type": "file", "file": {"file_id": "https://x.test/a.pdf", "mime_type": "application/pdf"}}]
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": stored}]})
    assert f'"{name}":"https://x.test/a.pdf"' in VENDORS[vendor].encode(request)[0].content.decode().replace(" ", "")
