"""The exchange around the body: address, headers, hosts, attempts; and what a model's name tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError
from glassway.pipeline.facts import TRANSLATION
from glassway.pipeline.types import Request
from glassway.providers.codecs.anthropic import AnthropicCodec
from glassway.providers.codecs.anthropic_models import Traits, traits_of
from glassway.testing import FakeClock

CODEC = AnthropicCodec()
OLD, MIDDLE, NEW, NEWEST = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_it_is_posted_with_the_version_of_the_api(call_of: Any) -> None:
    encoded = CODEC.encode(call_of({"max_tokens": 5}))
    assert (encoded.method, encoded.path) == ("POST", "/v1/messages")
    assert encoded.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}


def test_behind_vertex_the_model_is_in_the_path_and_the_version_in_the_body(call_of: Any) -> None:
    call = call_of({"model": "claude-sonnet-4-5@20250929", "stream": True, "max_tokens": 5})
    encoded = AnthropicCodec(provider="vertex", host="vertex").encode(call)
    body = json.loads(encoded.content)
    assert encoded.path == "/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body
    assert "anthropic-version" not in encoded.headers


def test_betas_become_a_header(call_of: Any) -> None:
    encoded = CODEC.encode(call_of({"betas": ["a-1", "b-2"]}))
    assert encoded.headers["anthropic-beta"] == "a-1,b-2"
    assert "betas" not in json.loads(encoded.content)


def test_an_uploaded_file_switches_its_beta_on(call_of: Any) -> None:
    request = {"messages": [user([{"type": "file", "file": {"file_id": "file_1"}}])]}
    assert CODEC.encode(call_of(request)).headers["anthropic-beta"] == "files-api-2025-04-14"


def test_encoding_again_for_another_attempt_notes_nothing_twice(call_of: Any) -> None:
    call = call_of({"seed": 1})
    CODEC.encode(call)
    facts = call.trail(TRANSLATION)
    CODEC.encode(call)
    assert call.trail(TRANSLATION) == facts


def test_other_operations_are_refused() -> None:
    class Speech(Request):
        operation = "speech"

    with pytest.raises(BadRequestError, match="speech"):
        CODEC.encode(Call.start(Speech(model="m"), clock=FakeClock()))


def test_half_a_surrogate_pair_does_not_break_the_request(call_of: Any) -> None:
    call = call_of({"messages": [user("x")]})
    call = call.with_request(call.request.but(messages=(call.request.messages[0].but(content="a\ud83d"),)))  # type: ignore[attr-defined]
    assert json.loads(CODEC.encode(call).content)["messages"][0]["content"] == "a?"


@pytest.mark.parametrize(
    ("name", "family", "version"),
    [
        ("claude-3-5-haiku-20241022", "haiku", (3, 5)),
        ("claude-3-opus-20240229", "opus", (3, 0)),
        ("claude-opus-4-20250514", "opus", (4, 0)),
        ("claude-sonnet-4-5-20250929", "sonnet", (4, 5)),
        ("claude-sonnet-4-5@20250929", "sonnet", (4, 5)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "haiku", (4, 5)),
        ("anthropic/claude-opus-4.6", "opus", (4, 6)),
        ("claude-fable-5", "fable", (5, 0)),
        ("claude-mythos-5-2", "mythos", (5, 2)),
        ("claude-mythos-preview", None, None),
        ("gpt-4o", None, None),
    ],
)
def test_generations_are_told_from_names(name: str, family: str | None, version: tuple[int, int] | None) -> None:
    assert traits_of(name) == Traits(family, version)
