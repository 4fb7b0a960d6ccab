"""Estimates of token counts, held against what vendors really counted."""

from __future__ import annotations

import json
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassway.pipeline.tokens import estimate_request_tokens, estimate_response_tokens, estimate_tokens
from glassway.pipeline.types import ChatRequest, ChatResponse, Message, Request
from glassway.providers.codecs.anthropic_inbound import canonical_request

CORPUS = Path(os.environ.get("GLASSWAY_CORPUS") or Path(__file__).parents[2].parent / "shared" / "corpus")
MEDIA = ('"image_url"', '"type": "image"', '"input_audio"', '"type": "file"', '"document"', '"video_url"')
BROKEN = {
    "huggingface/chat-text-6",  # a thousand tokens of history counted as 32
    "deepseek/chat-text-7",  # its tools were not counted
}

recorded = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no recorded exchanges at {CORPUS}: set GLASSWAY_CORPUS")


def prompts() -> Iterator[tuple[str, str, ChatRequest, int]]:
    """Vendor, model, request and the vendor's own count, of every recorded chat that is text alone."""
    for path in sorted(CORPUS.glob("*/*.json")):
        exchange = json.loads(path.read_bytes())
        body = (exchange["request"] or {}).get("json")
        if exchange["api"] not in ("chat", "messages") or not isinstance(body, dict) or "messages" not in body:
            continue
        if (
            exchange["id"] in BROKEN
            or "server-tools" in exchange["kind"]
            or any(mark in json.dumps(body["messages"]) for mark in MEDIA)
        ):
            continue
        if exchange["provider"] in ("cohere", "ollama") or (count := prompt_count(exchange["response"])) == 0:
            continue
        model = exchange.get("model") or body.get("model") or ""
        request = (
            canonical_request(body)
            if exchange["api"] == "messages"
            else ChatRequest.model_validate(body | {"model": model})
        )
        yield exchange["provider"], model, request, count


def prompt_count(response: dict[str, Any]) -> int:
    counted: dict[str, Any] = {}
    for event in events(response):
        for holder in (event, event.get("message"), event.get("x_groq")):
            if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                counted |= {name: value for name, value in holder["usage"].items() if value is not None}
    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return counted.get("prompt_tokens") or sum(counted.get(part) or 0 for part in parts)


def events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    body = response.get("body_text") or ""
    lines = [line[5:] for line in body.splitlines() if line.startswith("data:")] if response["streaming"] else [body]
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


@cache
def errors_by_vendor() -> dict[str, list[float]]:
    errors: dict[str, list[float]] = defaultdict(list)
    for vendor, model, request, count in prompts():
        estimate = estimate_request_tokens(request, model)
        assert estimate is not None
        errors[vendor].append(estimate / count - 1)
    return errors


@recorded
def test_the_median_error_over_recorded_prompts_is_below_15_percent() -> None:
    errors = errors_by_vendor()
    print("\nvendor           prompts  median error  median bias")
    for vendor, found in sorted(errors.items()):
        print(
            f"{vendor:16} {len(found):7}  {statistics.median(map(abs, found)):11.1%}  {statistics.median(found):+11.1%}"
        )
    every = [abs(error) for found in errors.values() for error in found]
    print(f"{'all':16} {len(every):7}  {statistics.median(every):11.1%}")
    assert len(every) > 250
    assert statistics.median(every) < 0.15


@recorded
@pytest.mark.parametrize(
    "vendor", ["anthropic", "azure", "deepseek", "groq", "huggingface", "mistral", "openai", "openrouter"]
)
def test_the_median_error_of_each_large_vendor_is_below_15_percent(vendor: str) -> None:
    assert statistics.median(map(abs, errors_by_vendor()[vendor])) < 0.15


@recorded
def test_the_median_error_over_recorded_answers_is_below_15_percent() -> None:
    errors = []
    for path in sorted(CORPUS.glob("*/chat-*.json")):
        exchange = json.loads(path.read_bytes())
        if (
            exchange["api"] != "chat"
            or exchange["provider"] in ("cohere", "ollama")
            or exchange["response"]["streaming"]
        ):
            continue
        body = next(events(exchange["response"]), {})
        count = (body.get("usage") or {}).get("completion_tokens")
        hidden = ((body.get("usage") or {}).get("completion_tokens_details") or {}).get("reasoning_tokens")
        if count and not hidden and body.get("choices"):
            answer = ChatResponse.model_validate(
                body | {"choices": [choice | {"finish_reason": None} for choice in body["choices"]]}
            )
            errors.append(abs(estimate_response_tokens(answer, exchange["model"]) / count - 1))
    print(f"\n{len(errors)} answers, median error {statistics.median(errors):.1%}")
    assert len(errors) > 80
    assert statistics.median(errors) < 0.15


@pytest.mark.parametrize(
    ("text", "count"),
    [
        # Counts of OpenAI's o200k vocabulary.
        ("", 0),
        ("Hello", 1),
        ("Hello, world!", 4),
        ("The quick brown fox jumps over the lazy dog.", 10),
    ],
)
def test_plain_english_is_counted_word_by_word(text: str, count: int) -> None:
    assert estimate_tokens(text) == count


def test_chinese_is_counted_by_character_and_not_by_space() -> None:
    assert 8 <= estimate_tokens("今天天气怎么样我们好") <= 10


def test_messages_cost_more_than_their_text() -> None:
    said = Message(role="user", content="Hello")
    assert estimate_tokens([said]) == estimate_tokens("Hello") + 7
    assert estimate_tokens([said, said]) > 2 * estimate_tokens("Hello") + 7


def test_tools_and_schemas_are_part_of_the_prompt() -> None:
    plain: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    tool = {
        "type": "function",
        "function": {"name": "weather", "description": "Looks up the weather.", "parameters": {"type": "object"}},
    }
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }
    counts = [
        estimate_request_tokens(ChatRequest.model_validate(plain | more))
        for more in ({}, {"tools": [tool]}, {"response_format": schema})
    ]
    assert None not in counts
    assert counts[0] < min(counts[1], counts[2])  # type: ignore[type-var, operator]  # checked above


def test_a_model_is_known_with_and_without_its_vendor() -> None:
    said = [Message(role="user", content="Hello")]
    counts = {estimate_tokens(said, model) for model in ("grok-4", "xai/grok-4", "openrouter/x-ai/grok-4.1-fast")}
    assert len(counts) == 1
    assert counts != {estimate_tokens(said)}


def test_an_image_counts_by_its_detail() -> None:
    def seen(detail: str) -> int:
        part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}
        return estimate_tokens([Message.model_validate({"role": "user", "content": [part]})])

    assert (seen("low"), seen("high")) == (7 + 85, 7 + 765)


def test_operations_that_are_no_conversation_count_their_text() -> None:
    class Embedding(Request):
        operation = "embeddings"
        input: tuple[str, ...]

    assert estimate_request_tokens(Embedding(model="m", input=("Hello", "Hello"))) == 2
    assert estimate_request_tokens(Embedding(model="m", input=())) is None


def test_a_huge_text_is_sampled_and_still_close() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 20_000
    assert estimate_tokens(text) == pytest.approx(10 * 20_000, rel=0.01)


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens_by_more_than_the_seam(one: str, other: str) -> None:
    assert 0 <= estimate_tokens(one) <= estimate_tokens(one + other) + 2


@given(st.text(min_size=1))
def test_no_text_has_more_tokens_than_bytes(text: str) -> None:
    assert estimate_tokens(text) <= len(text.encode(errors="surrogatepass")) + 1
