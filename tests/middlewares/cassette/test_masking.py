"""Secrets taken out of data and of streams, wherever their pieces are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassway.middlewares.cassette.masking import Mask, spread
from glassway.middlewares.cassette.plain import plain_chunk
from glassway.pipeline.secrets import covered, mask_secrets
from glassway.pipeline.types import ChatChunk, ChoiceDelta, Delta, FunctionDelta, ReasoningDelta, ToolCallDelta

KEY = "sk-proj-Prompt0CANARY1prompt2prompt3prompt4prompt5"
SECRETS = {
    "api key": KEY,
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "bearer": "Authorization: Bearer abcdefghijk12345678",
    "assigned": "password = hunter2-Xy9-qwErTz81",
    "url": "https://user:pa55w0rd@host.test/x",
    "private key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_covered_at_its_length_and_only_once(name: str) -> None:
    text = f"Look: {SECRETS[name]} is it."
    masked = mask_secrets(text)
    assert masked != text
    assert len(masked) == len(text)
    assert mask_secrets(masked) == masked
    assert masked.startswith("Look: ")
    assert masked.endswith(" is it.")


@pytest.mark.parametrize("text", ["What is the key to a good life?", "basic understanding of tokens", "https://host.test:8000/a@b", "risk-assessment-of-2024-portfolios", "the bearer of bad news"])  # fmt: skip
def test_prose_is_left_alone(text: str) -> None:
    assert mask_secrets(text) == text


def test_fields_that_are_secrets_by_name() -> None:
    masked = Mask().value({"X-Api-Key": "short", "nested": [{"authorization": "x"}], "token": "Hello", "n": 1})
    assert masked == {"X-Api-Key": "*****", "nested": [{"authorization": "*"}], "token": "Hello", "n": 1}


def chunks(make: Any, text: str, size: int) -> list[Any]:
    return [make(text[start : start + size]) for start in range(0, len(text), size)]


def content(piece: str) -> Any:
    return ChatChunk(choices=(ChoiceDelta(delta=Delta(content=piece)),))


def arguments(piece: str) -> Any:
    return ChatChunk(choices=(ChoiceDelta(delta=Delta(tool_calls=(ToolCallDelta(1, function=FunctionDelta(arguments=piece)),))),))  # fmt: skip


def thought(piece: str) -> Any:
    return ChatChunk(choices=(ChoiceDelta(1, Delta(reasoning_content=piece, reasoning_blocks=(ReasoningDelta(0, text=piece),))),))  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("make", [content, arguments, thought])
def test_a_secret_that_is_spread_over_chunks_is_found(make: Any, size: int) -> None:
    plain = [plain_chunk(chunk) for chunk in chunks(make, f"The key {KEY} is yours.", size)]
    masked = Mask().chunks(plain)
    assert len(masked) == len(chunks(make, f"The key {KEY} is yours.", size))
    joined = "".join(_texts(masked))
    assert covered(KEY) in joined
    assert KEY[:12] not in joined


def _texts(value: Any, name: str = "") -> list[str]:
    """The pieces, each text after the other."""
    if name == "" and isinstance(value, list):
        found = [_texts(item, "chunk") for item in value]
        return [piece for pieces in zip(*found, strict=True) for piece in pieces]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in _texts(item, key)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item, name)]
    return [value] if isinstance(value, str) else []


def test_two_texts_at_once_are_kept_apart() -> None:
    pieces = [ChatChunk(choices=(ChoiceDelta(0, Delta(content=a)), ChoiceDelta(1, Delta(content=b)))) for a, b in zip(KEY[:30], "x" * 30, strict=True)]  # fmt: skip
    masked = Mask().chunks([plain_chunk(piece) for piece in pieces])
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in masked) == covered(KEY[:30])
    assert "".join(chunk["choices"][1]["delta"]["content"] for chunk in masked) == "x" * 30


def test_a_hook_that_changes_lengths() -> None:
    mask = Mask(lambda text: text.replace("Anna", "somebody"))
    masked = mask.chunks([plain_chunk(content(piece)) for piece in ("I am A", "nn", "a and ", "well")])
    assert [chunk["choices"][0]["delta"]["content"] for chunk in masked] == ["I am somebody", "", " and ", "well"]


@given(st.lists(st.text("ab", max_size=4), min_size=1, max_size=6), st.text("abc", max_size=12))
def test_pieces_always_join_to_what_the_text_has_become(pieces: list[str], after: str) -> None:
    cut = spread(pieces, after)
    assert "".join(cut) == after
    assert len(cut) == len(pieces)
