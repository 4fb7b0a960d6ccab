"""Embeddings and what else is no chat, from llama.cpp's own server through a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from glassway.middlewares import Cache, Retry, Timeout
from glassway.pipeline.client import Client
from glassway.pipeline.errors import APIStatusError, AuthenticationError, BadRequestError, ContextWindowExceededError
from glassway.pipeline.pipeline import Pipeline
from glassway.providers import provider

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("each_transport")]

TEXTS = ["the sky is blue", "hello", "light and sky"]
MODEL = "llamacpp/tiny-random"


@pytest.fixture
def client(llamacpp_embeddings_url: str) -> Iterator[Client]:
    server = provider("llamacpp", base_url=f"{llamacpp_embeddings_url}/v1", api_key="sk-local")
    with Client(Pipeline([Cache(), Retry(attempts=2), Timeout(30)], providers=[server])) as made:
        yield made


def close(one: Any, other: Any, within: float = 1e-6) -> bool:
    return bool(one == pytest.approx(list(other), abs=within))


def test_the_official_client_reads_the_same_vectors(client: Client, llamacpp_embeddings_url: str) -> None:
    ours = client.embedding(MODEL, TEXTS)
    with openai.OpenAI(base_url=f"{llamacpp_embeddings_url}/v1", api_key="sk-local", max_retries=0) as official:
        theirs = official.embeddings.create(model="tiny-random", input=TEXTS)
    assert all(close(list(mine), item.embedding) for mine, item in zip(ours.vectors, theirs.data, strict=True))
    assert ours.usage is not None
    assert (ours.usage.prompt_tokens, ours.usage.anomalies()) == (theirs.usage.prompt_tokens, ())
    assert ours.usage.prompt_tokens > 0


@pytest.mark.parametrize("form", ["float", "base64"])
def test_the_vectors_are_the_same_however_they_travel(client: Client, form: str) -> None:
    assert close(
        list(client.embedding(MODEL, "hello", encoding_format=form).vector), client.embedding(MODEL, "hello").vector
    )


def test_each_text_has_the_vector_that_it_has_alone(client: Client) -> None:
    together = client.embedding(MODEL, TEXTS).vectors
    for text, vector in zip(TEXTS, together, strict=True):
        assert close(list(client.embedding(MODEL, text).vector), vector, within=0.02)  # a batch is summed otherwise


def test_asked_again_it_comes_from_the_cache(client: Client) -> None:
    first, second = client.embedding(MODEL, TEXTS), client.embedding(MODEL, TEXTS)
    assert second.vectors == first.vectors
    assert second.record is not None
    assert second.record.facts["cache"].verdict == "hit"


def test_token_ids_are_an_input_too(client: Client) -> None:
    assert len(client.embedding(MODEL, [1, 2, 3]).vectors) == 1


def test_a_wrong_key(client: Client) -> None:
    with pytest.raises(AuthenticationError):
        client.embedding(MODEL, "hello", api_key="sk-another-key")


def test_a_text_that_is_too_long(client: Client) -> None:
    with pytest.raises((ContextWindowExceededError, APIStatusError)) as caught:
        client.embedding(MODEL, "sky " * 5000)
    assert caught.value.attempts is not None


def test_a_form_that_it_does_not_know(client: Client) -> None:
    with pytest.raises(BadRequestError, match="float"):
        client.embedding(MODEL, "hello", encoding_format="nonsense")


def test_what_it_does_not_serve_is_its_error(client: Client) -> None:
    with pytest.raises(APIStatusError) as caught:
        client.rerank(MODEL, "sky", TEXTS, timeout_s=10)
    assert caught.value.status_code in (400, 404, 500, 501)
