"""Embeddings requests that are too large for their vendor: sent in parts, joined in order, each part an attempt."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from glassway.middlewares import Cost, Retry
from glassway.pipeline.call import Call
from glassway.pipeline.errors import AllAttemptsFailed, AuthenticationError, InternalServerError
from glassway.pipeline.overrides import with_overrides
from glassway.pipeline.parts import DIVIDED, PartLimits, parts_of
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.pricing import default_prices
from glassway.pipeline.types import Embedding, EmbeddingsRequest, EmbeddingsResponse, Usage
from glassway.testing import FakeClock

pytestmark = pytest.mark.anyio


@dataclass
class Embedder:
    """Answers with the length of each text, and fails when it is told to."""

    most: int | None = 3
    name: str = "embedder"
    failures: list[Exception | None] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    counts: bool = True

    def part_limits(self, call: Call) -> PartLimits:
        return PartLimits(self.most)

    async def __call__(self, call: Call) -> EmbeddingsResponse:
        request = call.request
        assert isinstance(request, EmbeddingsRequest)
        self.seen.append(len(request.inputs))
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        data = tuple(Embedding(index=place, embedding=(float(len(text)),)) for place, text in enumerate(request.inputs))
        size = len(data)
        return EmbeddingsResponse(
            data=data, model="m", usage=Usage(prompt_tokens=size, total_tokens=size) if self.counts else None
        )


def asking(count: int) -> EmbeddingsRequest:
    return EmbeddingsRequest(model="embedder/m", input=tuple("x" * (place + 1) for place in range(count)))


def down() -> InternalServerError:
    return InternalServerError("The vendor failed.", status_code=500)


async def test_the_answers_are_joined_in_the_order_of_the_inputs() -> None:
    embedder = Embedder()
    reply = await Pipeline([], embedder).send(asking(8))
    assert isinstance(reply, EmbeddingsResponse)
    assert [(item.index, item.embedding) for item in reply.data] == [(place, (place + 1.0,)) for place in range(8)]
    assert sorted(embedder.seen) == [2, 3, 3]
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 8


async def test_each_part_is_an_attempt_and_the_record_says_so() -> None:
    prices = with_overrides(default_prices(), {"embedder/m": {"input": 1}})
    reply = await Pipeline([Cost(prices=prices)], Embedder()).send(asking(7))
    record = reply.record  # type: ignore[union-attr]
    assert record is not None
    assert len(record.attempts) == 3
    assert record.get(DIVIDED).parts == 3
    assert record.usage is not None
    assert record.usage.prompt_tokens == 7
    assert record.cost_usd is not None
    assert record.cost_usd * 1_000_000 == 7
    assert record.cost is not None
    assert (record.cost.status, record.cost.wasted_usd) == ("exact", 0)


async def test_a_request_within_the_limit_is_sent_as_it_is() -> None:
    embedder = Embedder()
    reply = await Pipeline([], embedder).send(asking(3))
    assert embedder.seen == [3]
    assert reply.record.get(DIVIDED) is None  # type: ignore[union-attr]


async def test_a_retry_sends_only_what_is_missing() -> None:
    embedder = Embedder(failures=[None, down()])
    reply = await Pipeline([Retry(attempts=3)], embedder, clock=FakeClock()).send(asking(6))
    assert isinstance(reply, EmbeddingsResponse)
    assert embedder.seen == [3, 3, 3]
    assert [item.index for item in reply.data] == list(range(6))


async def test_what_fails_is_raised_as_it_is() -> None:
    embedder = Embedder(failures=[AuthenticationError("No.", status_code=401)] * 9)
    with pytest.raises(AuthenticationError):
        await Pipeline([], embedder).send(asking(9))


async def test_the_parts_of_one_dispatch_count_once_against_the_budget() -> None:
    reply = await Pipeline([], Embedder(), attempts=1).send(asking(30))
    assert len(reply.record.attempts) == 10  # type: ignore[union-attr]


async def test_a_retry_of_parts_is_within_the_budget() -> None:
    embedder = Embedder(failures=[down() for _ in range(99)])
    with pytest.raises((InternalServerError, AllAttemptsFailed)):
        await Pipeline([Retry(attempts=9)], embedder, clock=FakeClock(), attempts=2).send(asking(4))
    assert len(embedder.seen) <= 4


async def test_half_a_count_is_no_count() -> None:
    reply = await Pipeline([], Embedder(counts=False)).send(asking(4))
    assert reply.usage is None  # type: ignore[union-attr]


def test_parts_by_tokens() -> None:
    request = EmbeddingsRequest(model="m", input=("word " * 400, "word " * 400, "short"))
    parts = parts_of(request, PartLimits(tokens=1000))
    assert [len(part.inputs) for part in parts] == [1, 2]


def test_token_ids_of_one_input_are_one_input() -> None:
    request = EmbeddingsRequest(model="m", input=tuple(range(5000)))
    assert parts_of(request, PartLimits(inputs=2)) == [request]


def test_token_ids_are_counted_as_they_are() -> None:
    request = EmbeddingsRequest(model="m", input=(tuple(range(600)), tuple(range(600)), tuple(range(10))))
    assert [len(part.inputs) for part in parts_of(request, PartLimits(tokens=1000))] == [1, 2]
