"""The semantic cache: similar questions have one answer, everything else being equal."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from builders import Setup, answer, ask, make, server_error
from hypothesis import given
from hypothesis import strategies as st
from vectors import embed

from glassway import CallOptions, Client, Message, Pipeline
from glassway.middlewares import Cache, Cost, Fallback, SemanticCache
from glassway.middlewares.semantic_cache import FalseHits
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.errors import ConfigError, PlanError, StreamInterruptedError
from glassway.pipeline.facts import CACHE, SEMANTIC, SEMANTIC_CHECK
from glassway.pipeline.stagenames import make_stage
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import Embedding, EmbeddingsRequest, EmbeddingsResponse, Usage
from glassway.stores import DiskStore, MemoryStore, RedisStore
from glassway.testing import FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

ONE, NEAR, FAR = "what is the capital of Italy", "what is the capital of Italy please", "how do birds fly so far"
ANSWERS = [Scripted("Rome."), Scripted("second"), Scripted("third")]


def cached(answers: Any = tuple(ANSWERS), *, outside: Any = (), inside: Any = (), **settings: Any) -> Setup:
    stage = SemanticCache(**{"embed": embed, "threshold": 0.9} | settings)
    return make([*outside, stage, *inside], answers)


async def asked(setup: Setup, *texts: str, options: CallOptions = NO_OPTIONS, **fields: Any) -> list[str]:
    found = []
    for text in texts:
        reply = await setup.pipeline.send(ask(text, **fields), options)
        found.append((await reply.response() if isinstance(reply, Stream) else reply).text)
    return found


def verdicts(setup: Setup) -> list[str]:
    return [record.get(SEMANTIC).verdict for record in setup.ends.records]


@pytest.mark.parametrize("first", [False, True], ids=["kept unary", "kept stream"])
@pytest.mark.parametrize("then", [False, True], ids=["given unary", "given stream"])
async def test_a_similar_question_has_the_same_answer(first: bool, then: bool) -> None:
    setup = cached()
    assert await asked(setup, ONE, stream=first) + await asked(setup, NEAR, stream=then) == ["Rome.", "Rome."]
    assert await asked(setup, FAR) == ["second"]
    assert verdicts(setup) == ["stored", "hit", "stored"]
    stored, hit, other = (record.get(SEMANTIC) for record in setup.ends.records)
    assert hit.entry == stored.entry
    assert 0.9 <= hit.similarity < 1
    assert other.similarity < 0.5
    assert len(setup.provider.calls) == 2


async def test_a_stream_is_given_again_with_its_chunks() -> None:
    setup = cached([Scripted("a b c")])
    first = [chunk async for chunk in await setup.send(text=ONE, stream=True)]
    again = [chunk async for chunk in await setup.send(text=NEAR, stream=True)]
    assert again == first


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"temperature": 0.5}, NO_OPTIONS),
        ({"model": "fake/other"}, NO_OPTIONS),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, NO_OPTIONS),
        ({}, CallOptions(tenant="acme")),
        ({}, CallOptions(base_url="http://x")),
    ],
)
async def test_everything_else_must_be_equal(fields: dict[str, Any], options: CallOptions) -> None:
    setup = cached()
    await asked(setup, ONE)
    assert await asked(setup, ONE, options=options, **fields) == ["second"]
    assert setup.ends.records[-1].get(SEMANTIC).similarity is None


async def test_the_conversation_before_must_be_equal() -> None:
    setup = cached()
    for system in ("Be brief.", "Be long."):
        messages = (Message(role="system", content=system), Message(role="user", content=ONE))
        await setup.pipeline.send(ask().but(messages=messages))
    assert verdicts(setup) == ["stored", "stored"]


async def test_user_and_metadata_need_not_be() -> None:
    setup = cached()
    await asked(setup, ONE, user="a", metadata={"x": "1"})
    await asked(setup, NEAR, user="b")
    assert verdicts(setup) == ["stored", "hit"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "not the user's"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}], "not text alone"),
        ([{"role": "user", "content": " "}], "empty"),
        ([{"role": "user", "content": "x" * 101}], "longer than 100"),
    ],
)
async def test_what_has_no_question_passes_by(messages: Any, reason: str) -> None:
    setup = cached(max_chars=100)
    await setup.pipeline.send(type(ask()).model_validate({"model": "fake-model", "messages": messages}))
    verdict = setup.record.get(SEMANTIC)
    assert verdict.verdict == "bypassed"
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ({}, ["Rome.", "hit"]),
        ({"no_cache": True}, ["second", "stored"]),
        ({"no_store": True}, ["Rome.", "hit"]),
        ({"no_cache": True, "no_store": True}, ["second", "bypassed"]),
        ({"ttl_s": 5}, ["second", "stored"]),
        ({"ttl_s": 15}, ["Rome.", "hit"]),
    ],
)
async def test_a_calls_own_controls_are_those_of_the_cache(cache: dict[str, Any], expected: list[str]) -> None:
    setup = cached()
    await asked(setup, ONE)
    setup.clock.advance(10)
    [text] = await asked(setup, NEAR, options=CallOptions(cache=cache))
    assert [text, verdicts(setup)[-1]] == expected


async def test_no_store_keeps_nothing() -> None:
    setup = cached()
    await asked(setup, ONE, NEAR, options=CallOptions(cache={"no_store": True}))
    assert verdicts(setup) == ["miss", "miss"]


async def test_what_was_asked_anew_is_given_from_then_on() -> None:
    setup = cached()
    await asked(setup, ONE)
    setup.clock.advance(1)
    await asked(setup, ONE, options=CallOptions(cache={"no_cache": True}))
    assert await asked(setup, ONE) == ["second"]


async def test_entries_end() -> None:
    setup = cached(ttl_s=60)
    await asked(setup, ONE)
    setup.clock.advance(61)
    assert await asked(setup, ONE) == ["second"]


async def test_what_was_found_least_lately_goes_first() -> None:
    setup = cached([Scripted(f"answer {number}") for number in range(9)], max_entries=2)
    await asked(setup, ONE, FAR, NEAR, "nothing like the others at all", ONE, FAR)
    assert verdicts(setup) == ["stored", "stored", "hit", "stored", "hit", "stored"]


@pytest.mark.parametrize("script", [Scripted("x", finish_reason="content_filter"), Scripted("x", after_chunks=2)])
async def test_an_incomplete_answer_is_not_kept(script: Scripted) -> None:
    setup = cached([script, Scripted("whole")])
    with suppress(StreamInterruptedError):
        await asked(setup, ONE, stream=True)
    assert await asked(setup, ONE) == ["whole"]


async def test_an_answer_of_a_fallback_is_not_kept() -> None:
    setup = cached([server_error(), Scripted("other")], inside=(Fallback(["fake/second"]),))
    await asked(setup, ONE)
    assert setup.record.get(SEMANTIC).reason == "it came from a fallback"


async def test_too_large_an_answer_is_not_kept() -> None:
    setup = cached(max_entry_bytes=10)
    await asked(setup, ONE)
    assert "larger than 10 bytes" in setup.record.get(SEMANTIC).reason


async def test_the_exact_cache_outside_does_not_keep_what_was_only_similar() -> None:
    setup = cached(outside=(Cache(),))
    await asked(setup, ONE, NEAR, NEAR)
    assert verdicts(setup) == ["stored", "hit", "hit"]
    assert setup.ends.records[1].get(CACHE).reason == "it was the answer to a similar question"


@pytest.mark.parametrize("kind", ["async", "object", "numpy"])
async def test_vectors_come_from_any_function(kind: str) -> None:
    import numpy as np

    async def awaited(texts: list[str]) -> Any:
        return embed(texts)

    class Object:
        async def __call__(self, texts: list[str]) -> Any:
            return embed(texts)

    functions: dict[str, Any] = {"async": awaited, "object": Object(), "numpy": lambda texts: np.array(embed(texts))}
    setup = cached(embed=functions[kind])
    await asked(setup, ONE, NEAR)
    assert verdicts(setup) == ["stored", "hit"]


@pytest.mark.parametrize("rows", [[], [[0.0, 0.0]], [["x"]], [[1.0], [2.0]], None])
async def test_an_embedding_that_fails_is_a_miss(rows: Any, caplog: pytest.LogCaptureFixture) -> None:
    setup = cached(embed=lambda texts: rows)
    assert await asked(setup, ONE) == ["Rome."]
    assert setup.record.get(SEMANTIC).verdict == "error"
    assert "capital" not in caplog.text


async def test_an_embedding_has_its_time_limit() -> None:
    async def for_ever(texts: list[str]) -> Any:
        await setup.clock.sleep(100)

    setup = cached(embed=for_ever, embed_timeout_s=2)
    assert await asked(setup, ONE) == ["Rome."]
    assert setup.clock.slept_s == 2
    assert setup.record.get(SEMANTIC).reason == "embedding: TimeoutError"


class Vendor:
    """Answers chats and embeddings."""

    name = "fake"

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers or ("Rome.",))
        self.asked: list[str] = []

    async def __call__(self, call: Any) -> Any:
        self.asked.append(call.request.operation)
        if not isinstance(call.request, EmbeddingsRequest):
            text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return answer(text, usage=Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15))
        rows = embed(list(call.request.inputs))
        data = tuple(Embedding(index=place, embedding=tuple(row)) for place, row in enumerate(rows))
        return EmbeddingsResponse(data=data, usage=Usage(prompt_tokens=8, total_tokens=8))


PRICES = Cost(
    overrides={"fake/fake-model": {"input": 1, "output": 2}, "fake/vectors": {"input": 1000}},
)


def by_provider(vendor: Vendor, **settings: Any) -> Setup:
    stage = SemanticCache(**{"embed": "fake/vectors", "threshold": 0.9, "prices": PRICES._table} | settings)
    setup = make([PRICES, stage])
    pipeline = Pipeline([setup.ends, PRICES, stage], vendor, clock=setup.clock)
    return Setup(pipeline, setup.provider, setup.clock, setup.ends)


async def test_vectors_by_a_provider_are_lines_on_the_bill() -> None:
    vendor = Vendor()
    setup = by_provider(vendor)
    assert await asked(setup, ONE, NEAR) == ["Rome.", "Rome."]
    assert vendor.asked == ["embeddings", "chat", "embeddings"]
    stored, hit = (record.cost for record in setup.ends.records)
    assert stored.amount_usd == Decimal("0.008") + Decimal("0.00002")
    assert stored.wasted_usd == 0
    assert [line.item for line in stored.lines] == ["input", "output", "semantic_cache_embedding"]
    assert (hit.amount_usd, hit.saved_usd) == (Decimal("0.008"), Decimal("0.00002"))
    assert [len(record.attempts) for record in setup.ends.records] == [1, 0]
    assert setup.pipeline.statistics.snapshot().total.cache_hits == 1


async def test_a_dry_run_sends_no_embedding_and_keeps_nothing() -> None:
    vendor = Vendor()
    setup = by_provider(vendor)
    dry = await setup.pipeline.aexplain(ask(ONE))
    assert dry.facts["semantic_cache"].reason == "a dry run sends no embedding"
    assert vendor.asked == []
    own = cached()
    await asked(own, ONE)
    assert (await own.pipeline.aexplain(ask(NEAR))).facts["semantic_cache"].verdict == "hit"
    assert (await own.pipeline.aexplain(ask(FAR))).facts["semantic_cache"].verdict == "miss"
    assert (await own.pipeline.aexplain(ask(FAR))).facts["semantic_cache"].verdict == "miss"


@pytest.mark.parametrize(
    ("real", "same", "result"),
    [
        ("Rome.", None, "same"),
        ("it is Rome. of course", None, "different"),
        ("Paris.", None, "different"),
        ("Paris.", lambda kept, real: (kept.text, real.text) == ("Rome.", "Paris."), "same"),
        (server_error(), None, "failed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_hits_are_checked_beside(real: Any, same: Any, result: str, stream: bool) -> None:
    script = real if not isinstance(real, str) else Scripted(real)
    with record_telemetry() as recorded:
        stage = SemanticCache(embed, 0.9, check_share=1, same=same)
        setup = make([stage], [Scripted("Rome."), script], telemetry=recorded.telemetry)
        assert await asked(setup, ONE, NEAR, stream=stream) == ["Rome.", "Rome."]
        assert setup.ends.records[1].attempts == ()
        await setup.pipeline.aclose()
        assert recorded.metrics[f'glassway_semantic_checks_total{{result="{result}"}}'] == 1
        assert_conformant(recorded.spans, recorded.metrics)
    state = await stage.state()
    assert state["checks"] == {result: 1}
    assert setup.ends.records[1].get(SEMANTIC_CHECK) is None


async def test_an_async_function_may_say_whether_they_are_the_same() -> None:
    async def same(kept: Any, real: Any) -> bool:
        return False

    setup = cached([Scripted("Rome.")], check_share=1, same=same)
    await asked(setup, ONE, NEAR)
    await setup.pipeline.aclose()
    stage = setup.pipeline.stages["SemanticCache"]
    assert (await stage.state())["false_hits"]["rate"] == 1  # type: ignore[attr-defined]  # it has a state


@pytest.mark.parametrize(
    ("different", "checked", "low", "high"), [(0, 50, 0.0, 0.0713), (5, 100, 0.0215, 0.1118), (1, 1, 0.2065, 1.0)]
)
def test_the_interval_is_wilsons(different: int, checked: int, low: float, high: float) -> None:
    found = FalseHits.of(different, checked)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_the_rate_is_within_its_interval(different: int, more: int) -> None:
    found = FalseHits.of(different, different + more)
    assert found.rate is not None
    assert 0 <= found.low <= found.rate <= found.high <= 1


def test_nothing_is_known_before_the_first_check() -> None:
    assert FalseHits.of(0, 0) == (0, 0, None, 0.0, 1.0)


@pytest.fixture(params=["memory", "disk", "redis"])
def two_stores(request: pytest.FixtureRequest, tmp_path: Any) -> list[Any]:
    """The same store as two processes have it."""
    if request.param == "memory":
        store = MemoryStore()
        return [store, store]
    if request.param == "disk":
        return [DiskStore(str(tmp_path)), DiskStore(str(tmp_path))]
    url = request.getfixturevalue("redis_server").url
    return [RedisStore(url), RedisStore(url)]


async def test_it_keeps_in_every_store(two_stores: list[Any]) -> None:
    namespace = str(id(two_stores))
    setup = cached(store=two_stores[0], namespace=namespace)
    async with setup.pipeline:
        assert await asked(setup, ONE, NEAR, FAR) == ["Rome.", "Rome.", "second"]


async def test_others_see_new_entries_and_a_new_process_sees_the_old_ones(two_stores: list[Any]) -> None:
    if isinstance(two_stores[0], MemoryStore):
        return  # one process's own: nobody else is told
    namespace = str(id(two_stores))
    here, there = (
        cached([Scripted(said)], store=store, namespace=namespace)
        for said, store in zip(("here", "there"), two_stores, strict=True)
    )
    assert await asked(here, ONE) == ["here"]
    assert await asked(there, NEAR, FAR) == ["here", "there"]
    assert await asked(here, FAR) == ["there"]
    later = cached([Scripted("new")], store=two_stores[0], namespace=namespace)
    assert await asked(later, ONE, FAR) == ["here", "there"]
    await asyncio.gather(*(setup.pipeline.aclose() for setup in (here, there)))


async def test_writers_at_once_lose_nothing(two_stores: list[Any]) -> None:
    if isinstance(two_stores[0], MemoryStore):
        return  # as above
    namespace = str(id(two_stores))
    setups = [cached([Scripted("x")], store=store, namespace=namespace, threshold=0.99) for store in two_stores]
    texts = [f"question number{number} word{number} other{number} more{number}" for number in range(24)]
    await asyncio.gather(*(asked(setups[place % 2], text) for place, text in enumerate(texts)))
    reader = cached([Scripted("not seen")], store=two_stores[1], namespace=namespace, threshold=0.99)
    assert await asked(reader, *texts) == ["x"] * len(texts)
    await asyncio.gather(*(setup.pipeline.aclose() for setup in setups))


async def test_other_settings_at_run_time_forget_nothing() -> None:
    async with Client(Pipeline([SemanticCache(embed, 0.99)], FakeProvider(ANSWERS))) as client:
        assert (await client.achat("fake-model", ONE)).text == "Rome."
        client.update(semantic_cache={"threshold": 0.9})
        assert (await client.achat("fake-model", NEAR)).text == "Rome."


async def test_a_redis_that_dies_makes_misses_and_is_used_again_when_it_is_back(own_redis_server: Any) -> None:
    setup = cached(store=RedisStore(own_redis_server.url, pause_s=0.01))
    await asked(setup, ONE)
    own_redis_server.kill()
    assert await asked(setup, ONE) == ["second"]
    assert setup.ends.records[-1].get(SEMANTIC).verdict == "error"
    own_redis_server.restart()
    until = time.monotonic() + 20
    while verdicts(setup)[-1] == "error" and time.monotonic() < until:
        await asked(setup, ONE)
    assert await asked(setup, FAR, FAR) == ["third", "third"]
    assert verdicts(setup)[-1] == "hit"
    await setup.pipeline.aclose()


async def test_metrics_and_the_gauge() -> None:
    with record_telemetry() as recorded:
        setup = make([SemanticCache(embed, 0.9)], ANSWERS, telemetry=recorded.telemetry)
        await asked(setup, ONE, NEAR)
        metrics = recorded.metrics
        assert metrics['glassway_semantic_cache_verdicts_total{verdict="hit"}'] == 1
        assert metrics['glassway_semantic_similarity_count{verdict="hit"}'] == 1
        assert metrics["glassway_semantic_entries"] >= 1
        assert_conformant(recorded.spans, metrics)


class Broken(MemoryStore):
    """A store that is away."""

    async def get(self, key: str) -> bytes | None:
        raise ConnectionError("redis://user:password@host")


async def test_a_store_that_is_away_makes_misses(caplog: pytest.LogCaptureFixture) -> None:
    setup = cached(store=Broken())
    assert await asked(setup, ONE, NEAR) == ["Rome.", "second"]
    assert verdicts(setup) == ["stored", "error"]
    assert "password" not in caplog.text


def test_it_works_in_sync_and_without_telemetry() -> None:
    provider = FakeProvider(ANSWERS)
    with Client(Pipeline([SemanticCache(embed, 0.9)], provider, telemetry=False)) as client:
        assert client.chat("fake-model", ONE).text == "Rome."
        assert "".join(chunk.text for chunk in client.chat("fake-model", NEAR, stream=True)) == "Rome."


async def test_many_at_once() -> None:
    setup = cached([Scripted("Rome.", delay_s=1)])
    texts = await asyncio.gather(*(asked(setup, ONE) for _ in range(20)))
    assert texts == [["Rome."]] * 20
    assert await asked(setup, NEAR) == ["Rome."]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"embed": ""}, "embed"),
        ({"embed": 3}, "embed"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1.1}, "threshold"),
        ({"same_from": 2}, "same_from"),
        ({"check_share": -1}, "check_share"),
        ({"max_entries": 100_001}, "max_entries"),
        ({"max_entries": 0}, "max_entries"),
        ({"max_chars": 0}, "max_chars"),
        ({"max_entry_bytes": 0}, "max_entry_bytes"),
        ({"ttl_s": 0}, "ttl_s"),
        ({"ttl_s": None}, "ttl_s"),
        ({"embed_timeout_s": -1}, "embed_timeout_s"),
        ({"check_timeout_s": 0}, "check_timeout_s"),
        ({"flush_s": -1}, "flush_s"),
        ({"same": 1}, "same"),
        ({"store": 3}, "store"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SemanticCache(**{"embed": embed} | settings)


def test_a_configuration_names_a_model() -> None:
    assert make_stage("semantic_cache", {"embed": "fake/v", "threshold": 0.8}) == SemanticCache("fake/v", 0.8)


@pytest.mark.parametrize("outer", [Cost(), Cache()])
def test_it_stands_inside_cost_and_cache(outer: Any) -> None:
    name = type(outer).__name__
    with pytest.raises(PlanError, match=f"Move SemanticCache after {name}|Move Cost before"):
        Pipeline([SemanticCache(embed), outer], FakeProvider())
