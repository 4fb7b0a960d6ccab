"""Embeddings that go out together: each gets its own, errors are whose they are, nothing is left over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import Ends
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Batch, Cache, Retry
from glassway.middlewares.batch.gathering import shares
from glassway.pipeline.config import Config
from glassway.pipeline.errors import APITimeoutError, BadRequestError, ConfigError, InternalServerError
from glassway.pipeline.facts import BATCH
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import ChatRequest, Embedding, EmbeddingsRequest, EmbeddingsResponse, Usage
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio


class Vendor:
    """A text's vector is its length; `bad` in a text refuses the whole, `down` fails it."""

    def __init__(self, took_s: float = 0.0) -> None:
        self.asked: list[list[str]] = []
        self.took_s = took_s
        self.__name__ = "fake"

    async def __call__(self, call: Any) -> Any:
        texts = list(call.request.inputs)
        self.asked.append(texts)
        await call.clock.sleep(self.took_s)
        if "bad" in texts:
            raise BadRequestError("An input is wrong.", status_code=400)
        if "down" in texts:
            raise InternalServerError("Down.", status_code=500)
        if "lost" in texts and len(texts) > 1:
            texts = texts[1:]
        data = [Embedding(index=place, embedding=(float(len(text)),)) for place, text in enumerate(texts)]
        tokens = sum(map(len, texts))
        return EmbeddingsResponse(
            data=tuple(data), model="m", usage=Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens)
        )


class Bench:
    """A pipeline on a clock of its own."""

    def __init__(self, *, took_s: float = 0.0, **given_: Any) -> None:
        self.vendor, self.clock, self.ends = Vendor(took_s), FakeClock(), Ends()
        self.stack = Pipeline(
            [self.ends, Batch(**given_)], self.vendor, telemetry=False, clock=self.clock, timeout_s=None
        )

    async def ask(self, *texts: str, after_s: float = 0.0, options: CallOptions | None = None, **fields: Any) -> Any:
        if after_s:
            await self.clock.sleep(after_s)
        request = EmbeddingsRequest(model="fake/m", input=texts[0] if len(texts) == 1 else texts, **fields)
        passing = asyncio.ensure_future(self.clock.sleep(1000))  # time passes while somebody sleeps
        try:
            return await self.stack.send(request, options or CallOptions())
        finally:
            passing.cancel()

    @property
    def roles(self) -> list[str]:
        found = [record.get(BATCH) for record in self.ends.records]
        return sorted(each.role if each else "-" for each in found)


def vectors(reply: Any) -> list[float]:
    return [vector[0] for vector in reply.vectors]


async def test_what_is_asked_at_about_the_same_time_goes_out_together() -> None:
    bench = Bench()
    replies = await asyncio.gather(bench.ask("a"), bench.ask("bb", "ccc"), bench.ask("dddd", after_s=0.005))
    assert [vectors(reply) for reply in replies] == [[1], [2, 3], [4]]
    assert bench.vendor.asked == [["a", "bb", "ccc", "dddd"]]
    assert [[each.index for each in reply.data] for reply in replies] == [[0], [0, 1], [0]]
    assert [reply.usage.total_tokens for reply in replies] == [1, 5, 4]
    assert bench.roles == ["joined", "joined", "sent"]
    assert bench.ends.records[-1].get(BATCH).requests == 3


async def test_who_comes_later_goes_with_the_next() -> None:
    bench = Bench()
    await asyncio.gather(bench.ask("a"), bench.ask("b", after_s=0.5))
    assert bench.vendor.asked == [["a"], ["b"]]


async def test_a_full_one_goes_out_at_once() -> None:
    bench = Bench(size=3, wait_s=60)
    await asyncio.gather(bench.ask("a"), bench.ask("b"), bench.ask("c"))
    assert bench.vendor.asked == [["a", "b", "c"]]
    assert bench.clock.now_ns() < 2_000_000_000


async def test_one_without_room_goes_with_the_next() -> None:
    bench = Bench(size=3, wait_s=1)
    await asyncio.gather(bench.ask("a", "b"), bench.ask("c", "d"))
    assert bench.vendor.asked == [["a", "b"], ["c", "d"]]


async def test_large_requests_pass_by() -> None:
    bench = Bench(size=2)
    await bench.ask("a", "b")
    assert bench.roles == ["-"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dimensions": 1}, {"dimensions": 2}),
        ({"options": CallOptions(tenant="a")}, {"options": CallOptions(tenant="b")}),
        ({"options": CallOptions(headers={"x": "1"})}, {}),
        ({"options": CallOptions(cache={"no_cache": True})}, {}),
    ],
    ids=str,
)
async def test_what_is_not_alike_is_not_mixed(one: Any, other: Any) -> None:
    bench = Bench()
    await asyncio.gather(bench.ask("a", **one), bench.ask("b", **other))
    assert len(bench.vendor.asked) == 2


async def test_only_who_is_wrong_gets_the_error() -> None:
    bench = Bench()
    answers = await asyncio.gather(bench.ask("a"), bench.ask("bad"), bench.ask("cc"), return_exceptions=True)
    assert [vectors(answers[0]), vectors(answers[2])] == [[1], [2]]
    assert isinstance(answers[1], BadRequestError)
    assert bench.vendor.asked[0] == ["a", "bad", "cc"]
    assert sorted(bench.vendor.asked[1:]) == [["a"], ["bad"], ["cc"]]


async def test_other_failures_are_everybodys_each_with_a_record_of_its_own() -> None:
    bench = Bench()
    answers: Any = await asyncio.gather(bench.ask("a"), bench.ask("down"), return_exceptions=True)
    assert all(isinstance(each, InternalServerError) for each in answers)
    assert answers[0].record.call_id != answers[1].record.call_id


async def test_a_vendor_that_loses_an_input_is_asked_for_each() -> None:
    bench = Bench()
    answers = await asyncio.gather(bench.ask("lost"), bench.ask("b"))
    assert [vectors(each) for each in answers] == [[4], [1]]


async def test_who_goes_away_takes_only_itself_out() -> None:
    bench = Bench(took_s=1)
    tasks = [asyncio.create_task(bench.ask(text)) for text in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    answers: Any = await asyncio.gather(*tasks, return_exceptions=True)
    assert [vectors(answers[0]), vectors(answers[2])] == [[1], [1]]
    assert bench.vendor.asked == [["a", "c"]]


async def test_if_the_sender_goes_away_the_next_one_sends() -> None:
    bench = Bench(took_s=5)
    tasks = [asyncio.create_task(bench.ask(text)) for text in "abc"]
    await bench.clock.sleep(1)
    tasks[0].cancel()
    answers: Any = await asyncio.gather(*tasks, return_exceptions=True)
    assert [vectors(each) for each in answers[1:]] == [[1], [1]]
    assert bench.vendor.asked == [["a", "b", "c"], ["b", "c"]]


async def test_a_deadline_is_its_own_calls() -> None:
    bench = Bench(took_s=5)
    hurried = bench.ask("b", options=CallOptions(timeout_s=1))
    answers: Any = await asyncio.gather(bench.ask("a"), hurried, return_exceptions=True)
    assert vectors(answers[0]) == [1]
    assert isinstance(answers[1], APITimeoutError)


async def test_token_ids_go_with_token_ids() -> None:
    bench = Bench()

    async def ids(given_: Any) -> Any:
        return await bench.stack.send(EmbeddingsRequest(model="fake/m", input=given_))

    await asyncio.gather(ids((1, 2)), ids(((3,), (4, 5))), bench.ask("a"), bench.clock.sleep(1))
    assert bench.vendor.asked == [[(1, 2), (3,), (4, 5)], ["a"]]


async def test_chat_passes_by_and_dry_runs_wait_for_nobody() -> None:
    from builders import ask

    stack = Pipeline([Batch(wait_s=60)], FakeProvider(), telemetry=False)
    assert (await stack.send(ask())).text  # type: ignore[union-attr]
    assert (await stack.aexplain(EmbeddingsRequest(model="fake/m", input="a"))).reached_vendor


def test_sync_calls_too() -> None:
    with Client(Pipeline([Batch()], Vendor(), telemetry=False)) as client:
        assert client.embedding("fake/m", ["a", "bb"]).vectors == ((1.0,), (2.0,))


async def test_telemetry_says_who_sent() -> None:
    with record_telemetry() as recorded:
        clock = FakeClock()
        stack = Pipeline([Batch()], Vendor(), telemetry=recorded.telemetry, clock=clock)
        requests = [EmbeddingsRequest(model="fake/m", input=text) for text in "ab"]
        await asyncio.gather(*(stack.send(request) for request in requests), clock.sleep(1))
        metrics = recorded.metrics
        assert metrics['glassway_batched_calls_total{role="sent"}'] == 1
        assert metrics['glassway_batched_calls_total{role="joined"}'] == 1
        assert_conformant(recorded.spans, metrics)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_shares_add_up_to_the_last_token(whole: int, weights: list[int]) -> None:
    found = shares(whole, weights)
    assert sum(found) == whole
    assert all(abs(share - whole * weight / sum(weights)) < 1 for share, weight in zip(found, weights, strict=True))


ASKED = st.tuples(
    st.lists(st.sampled_from(["a", "bb", "ccc", "bad", "down"]), min_size=1, max_size=4),
    st.floats(0, 0.05),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ASKED, min_size=1, max_size=10))
def test_in_any_pattern_everybody_who_stays_gets_his_own(asked: list[Any]) -> None:
    async def main() -> None:
        bench = Bench(size=6, took_s=0.01)

        async def one(texts: list[str], after_s: float, leaves: bool) -> Any:
            task = asyncio.ensure_future(bench.ask(*texts, after_s=after_s))
            if leaves:
                await bench.clock.sleep(after_s + 0.005)
                task.cancel()
            (found,) = await asyncio.gather(task, return_exceptions=True)
            return found

        for (texts, _, leaves), found in zip(asked, await asyncio.gather(*(one(*each) for each in asked)), strict=True):
            if isinstance(found, BaseException):
                kinds: tuple[type[BaseException], ...] = (InternalServerError, asyncio.CancelledError)
                assert isinstance(found, (*kinds, BadRequestError) if "bad" in texts else kinds)
                assert leaves or not isinstance(found, asyncio.CancelledError)
            else:
                assert vectors(found) == [len(text) for text in texts]
        await bench.clock.sleep(1)  # timers of those who have all gone away
        assert not any(bench.stack.stages["Batch"]._gatherings.values())  # type: ignore[attr-defined]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"size": 1}, "size: expected a whole number from 2"),
        ({"wait_s": 0}, "wait_s: expected seconds above 0"),
        ({"max_waiting": True}, "max_waiting: expected a whole number"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(given_: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(**given_)


def test_yaml_can_say_it_and_advice_says_where() -> None:
    made = Config.read({"pipeline": [{"batch": {"size": 16, "wait_s": 0.02}}]}, {}).pipeline(telemetry=False)
    assert isinstance(made.stages["Batch"], Batch)
    for inner in (Cache(), Retry()):
        assert type(inner).__name__ in Pipeline([Batch(), inner], Vendor()).explain().advice[0]


# -- chats


class Chats:
    """Chats through a Batch, and when they reached the vendor."""

    def __init__(self, *, size: int = 4, wait_s: float = 0.5, **given_: Any) -> None:
        self.clock, self.ends = FakeClock(), Ends()
        self.provider = FakeProvider([Scripted(delay_s=1)])
        self.came: list[tuple[str, float]] = []
        self.stack = Pipeline(
            [self.ends, Batch(size=size, wait_s=wait_s, chats=True, **given_), self._note],
            self.provider, telemetry=False, clock=self.clock, timeout_s=None,
        )  # fmt: skip

    async def _note(self, call: Any, call_next: Any) -> Any:
        self.came.append((call.target.model, round(self.clock.slept_s, 3)))
        return await call_next(call)

    async def ask(self, after_s: float = 0.0, model: str = "m", *, stream: bool = False, **options: Any) -> Any:
        await self.clock.sleep(after_s)
        message = {"role": "user", "content": "Hi"}
        request = ChatRequest.model_validate({"model": f"fake/{model}", "messages": [message], "stream": stream})
        passing = asyncio.ensure_future(self.clock.sleep(1000))
        try:
            reply = await self.stack.send(request, CallOptions(**options))
            return await reply.response() if isinstance(reply, Stream) else reply
        finally:
            passing.cancel()

    @property
    def facts(self) -> list[tuple[str, int]]:
        found = [record.get(BATCH) for record in self.ends.records]
        return sorted((each.role, each.requests) for each in found if each is not None)


async def test_chats_to_one_target_go_out_at_the_same_moment() -> None:
    bench = Chats()
    replies = await asyncio.gather(bench.ask(0.0), bench.ask(0.1, stream=True), bench.ask(0.2), bench.ask(0.3, "other"))
    assert [reply.text for reply in replies] == ["Hello there, general reader."] * 4
    assert sorted(bench.came) == [("m", 0.5), ("m", 0.5), ("m", 0.5), ("other", 0.8)]
    assert bench.facts == [("together", 1), ("together", 3), ("together", 3), ("together", 3)]


async def test_as_many_as_are_wanted_wait_no_longer() -> None:
    bench = Chats(size=3)
    await asyncio.gather(*(bench.ask(after_s) for after_s in (0.0, 0.1, 0.2, 0.3)))
    assert bench.came == [("m", 0.2)] * 3 + [("m", 0.8)]


async def test_who_goes_away_leaves_the_others_to_themselves() -> None:
    bench = Chats()
    leaving = asyncio.ensure_future(bench.ask())
    staying = asyncio.ensure_future(bench.ask())
    for _ in range(3):
        await asyncio.sleep(0)
    assert bench.came == []
    leaving.cancel()
    assert (await staying).text
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert len(bench.came) == 1
    assert bench.facts == [("together", 1)]


async def test_nothing_is_left_where_all_have_gone_away() -> None:
    bench = Chats(wait_s=30)
    batch = bench.stack.stages["Batch"]
    assert isinstance(batch, Batch)
    leaving = asyncio.ensure_future(bench.ask())
    for _ in range(3):
        await asyncio.sleep(0)
    assert next(iter(batch._starts.values()))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert list(batch._starts.values()) == [{}]


async def test_a_deadline_is_kept_while_it_waits() -> None:
    bench = Chats(wait_s=30)
    with pytest.raises(APITimeoutError, match="deadline"):
        await bench.ask(timeout_s=0.2)
    assert bench.came == []
    assert bench.stack.in_flight == 0


async def test_more_than_may_wait_pass_by() -> None:
    bench = Chats(size=10, max_waiting=2)
    await asyncio.gather(*(bench.ask() for _ in range(3)))
    assert sorted(when for _, when in bench.came) == [0.0, 0.5, 0.5]


async def test_chats_pass_by_where_nobody_wants_them_together() -> None:
    bench = Chats()
    bench.stack = Pipeline([bench.ends, Batch(), bench._note], bench.provider, telemetry=False, clock=bench.clock)
    await bench.ask()
    assert bench.came == [("m", 0.0)]
    assert bench.facts == []
