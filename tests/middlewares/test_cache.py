"""The cache: what counts as the same call, what is kept, how it is given again, and who waits for whom."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from builders import server_error
from pydantic import SecretStr

from glassway.middlewares.cache import Cache
from glassway.pipeline.answers import answer_key
from glassway.pipeline.answers.flight import Flights, Landed
from glassway.pipeline.answers.leases import Leases
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import APITimeoutError, AuthenticationError, ConfigError, InternalServerError, PlanError
from glassway.pipeline.facts import CACHE, FALLBACKS, FellBack
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply, Stream
from glassway.pipeline.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    Choice,
    ChoiceDelta,
    Delta,
    FunctionDelta,
    Message,
    ReasoningBlock,
    ReasoningDelta,
    Request,
    ToolCallDelta,
    Usage,
    assemble_chat,
)
from glassway.stores import DiskStore, MemoryStore, Store
from glassway.testing import FakeClock, FakeProvider, Scripted, scripted_tool_call
from glassway.testing.finalizers import ENDINGS, Ending, run_ending

pytestmark = pytest.mark.anyio

CANARY = "canary-7Qx2Zp"


def ask(text: str = "What is 2+2?", **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "fake/m", "messages": [{"role": "user", "content": text}]} | fields)


class Bench:
    """A cache in front of a scripted provider, and the records of what went through."""

    def __init__(self, cache: Cache, *answers: Any, inside: Any = None) -> None:
        self.provider = FakeProvider(answers or (Scripted(),))
        self.clock = FakeClock()
        self.cache = cache
        self.pipeline = Pipeline([cache, *([inside] if inside else [])], self.provider, clock=self.clock)

    async def send(self, request: Request, **options: Any) -> Any:
        """The whole response."""
        reply = await self.pipeline.send(request, CallOptions(**options))
        return await reply.response() if isinstance(reply, Stream) else reply

    async def verdict(self, request: Request, **options: Any) -> Any:
        response = await self.send(request, **options)
        return response.record.facts["cache"]

    @property
    def asked(self) -> int:
        return len(self.provider.calls)


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "state")
    yield made
    await made.aclose()


@pytest.fixture
def bench() -> Bench:
    return Bench(Cache())


# what is given again


@pytest.mark.parametrize("first", [False, True], ids=["kept-unary", "kept-stream"])
@pytest.mark.parametrize("second", [False, True], ids=["asked-unary", "asked-stream"])
async def test_the_second_call_is_answered_from_the_cache_in_either_form(
    store: Store, first: bool, second: bool
) -> None:
    script = Scripted("It is four.", tool_calls=[scripted_tool_call("add", '{"a": 2}')], finish_reason="tool_calls")
    bench = Bench(Cache(store=store), script)
    one = await bench.send(ask(stream=first))
    two = await bench.send(ask(stream=second))
    assert bench.asked == 1
    assert two.model_dump() == one.model_dump()
    assert (one.record.facts["cache"].verdict, two.record.facts["cache"].verdict) == ("stored", "hit")
    assert two.usage == one.usage
    assert not two.record.attempts


async def test_a_stream_is_replayed_with_its_original_chunks(store: Store) -> None:
    bench = Bench(Cache(store=store), Scripted("one two three"))
    first = [chunk async for chunk in await bench.pipeline.send(ask(stream=True))]
    again = [chunk async for chunk in await bench.pipeline.send(ask(stream=True))]
    assert again == first
    assert len(again) == 5


RICH = (
    ChatChunk(
        "id",
        "m",
        7,
        (ChoiceDelta(0, Delta(role="assistant", reasoning_content="Hm. ")), ChoiceDelta(1, Delta(content="zwei"))),
        None,
        {"x": [1]},
    ),
    ChatChunk(
        "id",
        "m",
        7,
        (ChoiceDelta(0, Delta(reasoning_blocks=(ReasoningDelta(0, "thinking", "Hm.", "sig", None, "r1", "p"),))),),
    ),
    ChatChunk(
        "id",
        "m",
        7,
        (
            ChoiceDelta(
                0,
                Delta(
                    content="é\u2028", refusal="no", annotations=({"url": "u"},), audio={"data": "YQ=="}, extra={"k": 1}
                ),
            ),
        ),
    ),
    ChatChunk(
        "id",
        "m",
        7,
        (ChoiceDelta(0, Delta(tool_calls=(ToolCallDelta(0, "c", "function", FunctionDelta("f", '{"a')),))),),
    ),
    ChatChunk(
        "id",
        "m",
        7,
        (ChoiceDelta(0, Delta(tool_calls=(ToolCallDelta(0, None, None, FunctionDelta(None, '":1}'), {"sig": "s"}),))),),
    ),
    ChatChunk(
        "id",
        "m",
        7,
        (
            ChoiceDelta(0, Delta(), "tool_calls", "tool_use", {"content": [{"logprob": -0.5}]}),
            ChoiceDelta(1, Delta(), "stop", "end"),
        ),
        Usage.model_validate(
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "total_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 1},
                "z": 1,
            }
        ),
    ),
)


class Chunks:
    """A source of given chunks."""

    def __init__(self, chunks: tuple[ChatChunk, ...]) -> None:
        self.left = list(chunks)

    async def read(self) -> list[ChatChunk]:
        return [self.left.pop(0)] if self.left else []

    async def aclose(self) -> None: ...


async def rich(call: Call) -> Reply:
    return Stream(Chunks(RICH), assemble_chat) if call.request.stream else assemble_chat(RICH)


async def test_everything_that_a_chunk_can_hold_survives(store: Store) -> None:
    pipeline = Pipeline([Cache(store=store)], rich)
    await (await pipeline.send(ask(stream=True))).response()  # type: ignore[union-attr]
    reply = await pipeline.send(ask(stream=True))
    assert isinstance(reply, Stream)
    chunks = tuple([chunk async for chunk in reply])
    assert chunks == RICH
    assert chunks[-1].usage.to_dict() == RICH[-1].usage.to_dict()  # type: ignore[union-attr]


def fingerprinted(text: str | None, at: int, **fields: Any) -> ChatChunk:
    return ChatChunk(
        "id",
        "m",
        7,
        (ChoiceDelta(0, Delta(content=text), **fields),),
        None,
        {"system_fingerprint": "fp", "at": at // 90},
    )


LIKE_EACH_OTHER = (
    ChatChunk("id", "m", 7, (ChoiceDelta(0, Delta("assistant", "")),)),
    *[fingerprinted(f" {at}", at) for at in range(99)],
    ChatChunk("id", "m2", 7, (ChoiceDelta(0, Delta(content="other")),), None, {"system_fingerprint": "fp", "at": 0}),
    fingerprinted("", 1),
    fingerprinted("second", 1, extra={"k": 1}),
    fingerprinted(None, 1, finish_reason="stop"),
)


async def test_chunks_that_are_like_each_other_survive_and_take_little_room() -> None:
    async def vendor(_: Call) -> Reply:
        return Stream(Chunks(LIKE_EACH_OTHER), assemble_chat)

    pipeline = Pipeline([Cache(store=MemoryStore(), max_entry_bytes=2500)], vendor)
    await (await pipeline.send(ask(stream=True))).response()  # type: ignore[union-attr]
    reply = await pipeline.send(ask(stream=True))
    assert isinstance(reply, Stream)
    assert tuple([chunk async for chunk in reply]) == LIKE_EACH_OTHER
    assert (await reply.response()).record.facts["cache"].verdict == "hit"  # type: ignore[union-attr]


@pytest.mark.parametrize("stream", [False, True])
async def test_everything_that_a_response_can_hold_survives(store: Store, stream: bool) -> None:
    pipeline = Pipeline([Cache(store=store)], rich)
    first = await pipeline.send(ask())
    reply = await pipeline.send(ask(stream=stream))
    again = await reply.response() if isinstance(reply, Stream) else reply
    assert isinstance(again, ChatResponse)
    assert isinstance(first, ChatResponse)
    assert again.to_dict() == first.to_dict()
    assert again.choices[0].message.reasoning_blocks == (
        ReasoningBlock(text="Hm.", signature="sig", id="r1", index=0, provider="p"),
    )


async def test_an_answer_in_parts_cannot_be_streamed_and_is_asked_for_again() -> None:
    parts = ChatResponse(
        choices=(
            Choice(
                message=Message.model_validate({"role": "assistant", "content": [{"type": "text", "text": "a"}]}),
                finish_reason="stop",
            ),
        )
    )
    asked: list[bool] = []

    async def provider(call: Call) -> Reply:
        asked.append(call.request.stream)
        return Stream(Chunks(RICH), assemble_chat) if call.request.stream else parts

    pipeline = Pipeline([Cache()], provider)
    await pipeline.send(ask())
    await (await pipeline.send(ask(stream=True))).response()  # type: ignore[union-attr]
    assert asked == [False, True]


# what counts as the same


def key_of(request: Request, *, clock: FakeClock | None = None, **options: Any) -> str | None:
    return answer_key(Call.start(request, options=CallOptions(**options), known={"other": "other", "fake": "fake"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "fake/m2"},
        {"model": "other/m"},
        {"model": "m"},
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"seed": 1},
        {"stop": "x"},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "high"},
        {"messages": [{"role": "system", "content": "What is 2+2?"}]},
        {"messages": [{"role": "user", "content": "What is 2+2? "}]},
        {"messages": [{"role": "user", "content": "What is 2+2?", "unknown": 1}]},
        {"unknown": 1},
        {"unknown": None},
        {"safety_mode": {"a": 1, "b": 2}},
    ],
    ids=str,
)
async def test_whatever_changes_the_answer_changes_the_key(changed: dict[str, Any]) -> None:
    assert key_of(ask(**changed)) != key_of(ask())


@pytest.mark.parametrize(
    "options",
    [
        {"tenant": "a"},
        {"tenant": ""},
        {"base_url": "http://elsewhere"},
        {"api_key": SecretStr("k")},
        {"headers": {"anthropic-beta": "x"}},
        {"settings": {"api_version": "2"}},
    ],
    ids=str,
)
async def test_whoever_asks_elsewhere_or_for_another_tenant_has_another_key(options: dict[str, Any]) -> None:
    assert key_of(ask(), **options) != key_of(ask())


@pytest.mark.parametrize(
    "changed",
    [
        {"stream": True},
        {"stream_options": {"include_usage": True}},
        {"user": "u"},
        {"metadata": {"a": "b"}},
        {"temperature": None},
    ],
    ids=str,
)
async def test_what_leaves_the_answer_as_it_is_leaves_the_key(changed: dict[str, Any]) -> None:
    assert key_of(ask(**changed)) == key_of(ask())


async def test_the_order_of_unknown_fields_makes_no_difference_and_that_of_a_schema_does() -> None:
    assert key_of(ask(a=1, b=2)) == key_of(ask(b=2, a=1))
    one, two = (
        {"type": "json_schema", "json_schema": {"schema": {"properties": names}}}
        for names in ({"a": {}, "b": {}}, {"b": {}, "a": {}})
    )
    assert key_of(ask(response_format=one)) != key_of(ask(response_format=two))


async def test_parts_of_the_key_cannot_run_into_each_other() -> None:
    call = Call.start(ask())
    assert answer_key(call, namespace="a", further="b") != answer_key(call, namespace="ab", further="")
    assert answer_key(call, namespace="a", further="b") != answer_key(call, namespace="", further="ab")


async def test_tenants_never_see_each_other_s_answers(store: Store) -> None:
    bench = Bench(Cache(store=store))
    verdicts = [(await bench.verdict(ask(), tenant=tenant)).verdict for tenant in ("a", "b", None, "a", "b", None)]
    assert verdicts == ["stored"] * 3 + ["hit"] * 3


async def test_namespace_and_further_text_separate_answers() -> None:
    store = MemoryStore()
    for cache in (
        Cache(store=store),
        Cache(store=store, namespace="n"),
        Cache(store=store, key_extra=lambda call: call.options.tags[0]),
    ):
        assert (await Bench(cache).verdict(ask(), tags=("t",))).verdict == "stored"
    assert (await Bench(Cache(store=store, namespace="n")).verdict(ask())).verdict == "hit"


async def test_a_secret_makes_keys_that_cannot_be_recomputed_without_it() -> None:
    plain, keyed, other = [
        (await Bench(Cache(key_secret=secret)).verdict(ask())).key for secret in (None, "s" * 100, "t")
    ]
    assert len({plain, keyed, other}) == 3
    assert "sss" not in repr(Cache(key_secret="s" * 100))


async def test_a_request_that_is_no_json_passes_by(bench: Bench) -> None:
    verdict = await bench.verdict(ask("\ud83d"))
    assert (verdict.verdict, verdict.reason) == ("bypassed", "the request cannot be written as JSON")


class Speak(Request):
    operation = "speech"


async def test_operations_that_are_not_cached_pass_by(bench: Bench) -> None:
    assert (await bench.verdict(Speak(model="fake/m"))).reason == "the operation speech is not cached"


# what is kept


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("finish", "verdict"),
    [
        ("stop", "stored"),
        ("length", "stored"),
        ("tool_calls", "stored"),
        ("content_filter", "not_stored"),
        (None, "not_stored"),
    ],
)
async def test_only_complete_answers_are_kept(stream: bool, finish: Any, verdict: str) -> None:
    bench = Bench(Cache(), Scripted(finish_reason=finish))
    assert (await bench.verdict(ask(stream=stream))).verdict == verdict
    await bench.send(ask(stream=stream))
    assert bench.asked == (1 if verdict == "stored" else 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_or_cut_answer_is_not_kept(stream: bool) -> None:
    error = InternalServerError("broken")
    bench = Bench(Cache(), Scripted(error=error, after_chunks=2 if stream else None), Scripted())
    with pytest.raises(InternalServerError):
        await bench.send(ask(stream=stream))
    assert (await bench.verdict(ask(stream=stream))).verdict == "stored"


@pytest.mark.parametrize("how", ["closed", "dropped"])
async def test_a_stream_that_the_consumer_left_is_not_kept_and_holds_nothing_up(how: str) -> None:
    bench = Bench(Cache())
    stream = await bench.pipeline.send(ask(stream=True))
    assert isinstance(stream, Stream)
    await anext(stream)
    if how == "closed":
        await stream.aclose()
    del stream
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await bench.verdict(ask())).verdict == "stored"
    assert bench.provider.open_streams == 0
    assert len(bench.cache._flights) == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_too_large_is_not_kept(stream: bool) -> None:
    bench = Bench(Cache(max_entry_bytes=300), Scripted("word " * 100))
    verdict = await bench.verdict(ask(stream=stream))
    assert (verdict.verdict, verdict.reason) == ("not_stored", "it is larger than 300 bytes")


async def test_an_answer_of_a_fallback_is_not_kept_under_the_first_target_s_key() -> None:
    async def fall_back(call: Call, call_next: Handler) -> Reply:
        call.add(FALLBACKS, FellBack("fake/m", "fake/m2", "server_error"))
        return await call_next(call)

    verdict = await Bench(Cache(), inside=fall_back).verdict(ask())
    assert (verdict.verdict, verdict.reason) == ("not_stored", "it came from a fallback")


async def test_an_entry_lives_for_its_time_and_tells_its_age() -> None:
    bench = Bench(Cache(ttl_s=10))
    await bench.send(ask())
    bench.clock.advance(9)
    hit = await bench.verdict(ask())
    assert (hit.verdict, hit.age_s) == ("hit", 9.0)
    bench.clock.advance(1)
    assert (await bench.verdict(ask())).verdict == "stored"


async def test_a_call_can_say_how_old_an_answer_may_be_and_how_long_its_own_is_kept() -> None:
    bench = Bench(Cache(ttl_s=10))
    await bench.send(ask(), cache={"ttl_s": 100})
    bench.clock.advance(50)
    assert (await bench.verdict(ask())).verdict == "hit"
    assert (await bench.verdict(ask(), cache={"ttl_s": 20})).verdict == "stored"


async def test_no_cache_asks_anew_and_refreshes_the_entry() -> None:
    bench = Bench(Cache(), Scripted("old"), Scripted("new"))
    await bench.send(ask())
    assert (await bench.send(ask(), cache={"no_cache": True})).text == "new"
    assert (await bench.send(ask())).text == "new"


async def test_no_store_keeps_nothing() -> None:
    bench = Bench(Cache())
    assert (await bench.verdict(ask(), cache={"no_store": True})).verdict == "miss"
    assert (await bench.verdict(ask())).verdict == "stored"


async def test_both_together_pass_by(bench: Bench) -> None:
    await bench.send(ask())
    verdict = await bench.verdict(ask(), cache={"no_cache": True, "no_store": True})
    assert (verdict.verdict, bench.asked) == ("bypassed", 2)


@pytest.mark.parametrize(
    "said", [{"ttl": 1}, {"no_cache": "yes"}, {"ttl_s": 0}, {"ttl_s": True}, {"ttl_s": float("nan")}], ids=str
)
async def test_what_a_call_says_wrongly_is_an_error(bench: Bench, said: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        await bench.send(ask(), cache=said)


@pytest.mark.parametrize(
    "settings",
    [{"ttl_s": 0}, {"store": "redis"}, {"store": object()}, {"max_entry_bytes": 0}, {"share_wait_s": -1}],
    ids=str,
)
async def test_settings_that_cannot_be_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Cache(**settings)


async def test_a_dry_run_looks_up_and_does_nothing_else(bench: Bench) -> None:
    dry = await bench.pipeline.aexplain(ask())
    assert (dry.facts["cache"].verdict, dry.reached_vendor) == ("miss", True)
    await bench.send(ask())
    dry = await bench.pipeline.aexplain(ask())
    assert (dry.facts["cache"].verdict, dry.reached_vendor) == ("hit", False)
    assert (bench.asked, len(bench.cache._flights)) == (1, 0)


# what fails


class Broken(MemoryStore):
    """A store that fails at some of its work."""

    def __init__(self, *broken: str, at_once: bool = True) -> None:
        super().__init__()
        self.immediate = at_once
        self.broken = broken
        self.deleted: list[str] = []

    def get_now(self, key: str) -> bytes | None:
        if "get" in self.broken:
            raise OSError(f"cannot reach redis://:{CANARY}@host")
        return super().get_now(key)

    def set_now(self, key: str, value: bytes, ttl_s: float) -> None:
        if "set" in self.broken:
            raise OSError(f"cannot reach redis://:{CANARY}@host")
        super().set_now(key, value, ttl_s)

    def delete_now(self, key: str) -> None:
        self.deleted.append(key)
        super().delete_now(key)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("broken", "reason"), [("get", "lookup: OSError"), ("set", "store: OSError")])
async def test_a_store_that_fails_never_fails_a_call(broken: str, reason: str, stream: bool, at_once: bool) -> None:
    response = await Bench(Cache(store=Broken(broken, at_once=at_once))).send(ask(stream=stream))
    verdict = response.record.facts["cache"]
    assert (verdict.verdict, verdict.reason) == ("error", reason)
    assert CANARY not in repr(response.record)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],
        lambda data: data.replace(b"there", b"where"),
        lambda data: b"",
        lambda data: b"[1]\n{}",
        lambda data: b"\x80\x04.",
    ],
    ids=["cut", "changed", "empty", "short", "pickle"],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_damaged_entry_is_a_miss_is_deleted_and_replaced(
    damage: Callable[[bytes], bytes], at_once: bool
) -> None:
    store = Broken(at_once=at_once)
    bench = Bench(Cache(store=store))
    key = "cache:" + (await bench.verdict(ask())).key
    await store.set(key, damage(await store.get(key) or b""), 60)
    response = await bench.send(ask())
    verdict = response.record.facts["cache"]
    assert (verdict.verdict, verdict.reason) == ("error", "damaged entry")
    assert response.text == "Hello there, general reader."
    assert store.deleted == [key]
    assert (await bench.verdict(ask())).verdict == "hit"


async def test_an_entry_under_another_key_is_not_taken() -> None:
    store = MemoryStore()
    bench = Bench(Cache(store=store), Scripted("one"), Scripted("two"))
    one, two = [(await bench.verdict(ask(text))).key for text in ("a", "b")]
    await store.set(f"cache:{two}", await store.get(f"cache:{one}") or b"", 60)
    assert (await bench.send(ask("b"))).text == "two"


async def test_no_secret_of_the_request_is_in_files_keys_or_facts(tmp_path: Path) -> None:
    cache = Cache(store=f"disk:{tmp_path}/state", namespace="n", key_secret=CANARY)
    bench = Bench(cache)
    request = ask(
        f"my key is {CANARY}", user=CANARY, unknown=CANARY, tools=[{"type": "function", "function": {"name": CANARY}}]
    )
    secrets: dict[str, Any] = {
        "tenant": CANARY,
        "api_key": SecretStr(CANARY),
        "headers": {"authorization": CANARY},
        "base_url": f"http://u:{CANARY}@h",
    }
    for stream in (True, False):
        response = await bench.send(request.but(stream=stream), **secrets)
        assert CANARY not in repr(response.record.facts)
    await bench.pipeline.aclose()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]  # noqa: ASYNC240 - a test waits for nobody
    assert files
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    assert CANARY not in repr(cache)


# single flight


async def together(bench: Bench, requests: list[Request], **options: Any) -> list[Any]:
    return await asyncio.gather(*(bench.send(request, **options) for request in requests), return_exceptions=True)


@pytest.mark.parametrize(
    "kinds", [[False], [True], [False, True], [True, False]], ids=["unary", "stream", "unary-leads", "stream-leads"]
)
async def test_sixty_four_identical_calls_ask_once(store: Store, kinds: list[bool]) -> None:
    await store.get("opens the files, which takes real time")
    bench = Bench(Cache(store=store), Scripted(delay_s=1, gap_s=0.1))
    responses = await together(bench, [ask(stream=kinds[i % len(kinds)]) for i in range(64)])
    assert bench.asked == 1
    assert {response.text for response in responses} == {"Hello there, general reader."}
    verdicts = [response.record.facts["cache"].verdict for response in responses]
    assert (verdicts.count("stored"), verdicts.count("shared")) == (1, 63)
    assert len({id(response.record) for response in responses}) == 64
    assert sum(len(response.record.attempts) for response in responses) == 1
    assert (len(bench.cache._flights), bench.provider.open_streams, bench.pipeline.in_flight) == (0, 0, 0)


async def test_different_calls_do_not_wait_for_each_other() -> None:
    bench = Bench(Cache(), Scripted(delay_s=1))
    await together(bench, [ask(f"{i}") for i in range(8)])
    assert (bench.asked, bench.clock.slept_s) == (8, 1.0)


async def test_tenants_do_not_share() -> None:
    bench = Bench(Cache(), Scripted(delay_s=1))
    await asyncio.gather(*(bench.send(ask(), tenant=tenant) for tenant in "ab"))
    assert bench.asked == 2


@pytest.mark.parametrize("said", [{"no_cache": True}, {"no_store": True}])
async def test_calls_that_want_their_own_answer_do_not_share(said: dict[str, bool]) -> None:
    bench = Bench(Cache(), Scripted(delay_s=1))
    await together(bench, [ask()] * 3, cache=said)
    assert bench.asked == 3


async def test_sharing_can_be_switched_off() -> None:
    bench = Bench(Cache(share=False), Scripted(delay_s=1))
    await together(bench, [ask()] * 3)
    assert bench.asked == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_leader_fails_a_follower_takes_over(stream: bool) -> None:
    bench = Bench(
        Cache(),
        Scripted(error=InternalServerError("broken"), delay_s=1, after_chunks=2 if stream else None),
        Scripted(delay_s=1),
    )
    results = await together(bench, [ask(stream=stream)] * 8)
    assert [type(result).__name__ for result in results].count("InternalServerError") == 1
    assert bench.asked == 2
    assert len(bench.cache._flights) == 0


async def test_followers_of_a_vendor_that_keeps_failing_do_not_queue_up() -> None:
    bench = Bench(Cache(), Scripted(error=InternalServerError("broken"), delay_s=1))
    results = await together(bench, [ask()] * 8)
    assert all(isinstance(result, InternalServerError) for result in results)
    assert (bench.asked, bench.clock.slept_s) == (8, 3.0)
    assert len(bench.cache._flights) == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cancelled", [1, 2, 5])
async def test_cancelled_leaders_leave_the_lead_to_the_next(stream: bool, cancelled: int) -> None:
    bench = Bench(Cache(), Scripted(delay_s=1, gap_s=1))
    tasks = [asyncio.ensure_future(bench.send(ask(stream=stream))) for _ in range(8)]
    for task in tasks[:cancelled]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True] * cancelled + [False] * (
        8 - cancelled
    )
    assert [result.record.facts["cache"].verdict for result in results[cancelled:]] == ["stored"] + ["shared"] * (
        7 - cancelled
    )
    assert (len(bench.cache._flights), bench.provider.open_streams, bench.pipeline.in_flight) == (0, 0, 0)


async def test_a_follower_that_is_cancelled_in_the_moment_it_is_made_the_leader_passes_the_lead_on() -> None:
    flights = Flights()
    flight, _ = flights.join("key")
    first, second = (asyncio.ensure_future(flight.follow()) for _ in range(2))
    await asyncio.sleep(0)
    flight.give_up()
    first.cancel()
    assert await second == "lead"
    assert first.cancelled()
    flight.give_up()
    assert len(flights) == 0


async def test_all_of_them_cancelled_at_once_leave_nothing_behind() -> None:
    bench = Bench(Cache(), Scripted(delay_s=1))
    tasks = [asyncio.ensure_future(bench.send(ask())) for _ in range(8)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(bench.cache._flights) == 0
    assert (await bench.verdict(ask())).verdict == "stored"


async def test_a_leader_that_closes_its_stream_early_leaves_the_lead_to_the_next() -> None:
    bench = Bench(Cache(), Scripted(gap_s=1))
    stream = await bench.pipeline.send(ask(stream=True))
    assert isinstance(stream, Stream)
    followers = asyncio.gather(*(bench.send(ask()) for _ in range(3)))
    await anext(stream)
    await asyncio.sleep(0)  # the followers arrive
    await stream.aclose()
    assert sorted(response.record.facts["cache"].verdict for response in await followers) == [
        "shared",
        "shared",
        "stored",
    ]
    assert bench.asked == 2


async def test_a_follower_waits_no_longer_than_its_deadline() -> None:
    bench = Bench(Cache(), Scripted(delay_s=10))
    leader = asyncio.ensure_future(bench.send(ask()))
    await asyncio.sleep(0)
    with pytest.raises(APITimeoutError, match="deadline"):
        await bench.send(ask(), timeout_s=2)
    assert bench.clock.slept_s == 2.0
    assert (await leader).record.facts["cache"].verdict == "stored"
    assert bench.asked == 1


async def test_a_follower_whose_leader_is_too_slow_asks_by_itself() -> None:
    bench = Bench(Cache(share_wait_s=3), Scripted(delay_s=10), Scripted(delay_s=1))
    slow, fast = asyncio.ensure_future(bench.send(ask())), asyncio.ensure_future(bench.send(ask()))
    assert (await fast).record.facts["cache"].verdict == "stored"
    assert bench.clock.slept_s == 4.0
    await slow
    assert bench.asked == 2


async def test_an_answer_that_is_not_complete_is_not_shared() -> None:
    bench = Bench(Cache(), Scripted(finish_reason="content_filter", delay_s=1), Scripted(delay_s=1))
    responses = await together(bench, [ask()] * 3)
    assert sorted(response.record.facts["cache"].verdict for response in responses) == [
        "not_stored",
        "shared",
        "stored",
    ]


async def test_each_event_loop_has_flights_of_its_own() -> None:
    bench = Bench(Cache(), Scripted(delay_s=0.05))
    bench.pipeline = Pipeline([bench.cache], bench.provider)
    here = asyncio.ensure_future(bench.send(ask()))
    await asyncio.sleep(0)
    there = await asyncio.to_thread(lambda: asyncio.run(_send(bench.cache, bench.provider)))
    assert there.text == (await here).text
    assert bench.asked == 2


async def _send(cache: Cache, provider: FakeProvider) -> Any:
    return await Pipeline([cache], provider).send(ask())


async def test_errors_that_are_the_caller_s_own_are_not_handed_to_others() -> None:
    bench = Bench(Cache(), AuthenticationError("no"), Scripted("yes"))
    results = await together(bench, [ask(), ask()])
    assert isinstance(results[0], AuthenticationError)
    assert results[1].text == "yes"


# where it stands


def stage(name: str) -> Any:
    async def one(call: Call, call_next: Handler) -> Reply:
        return await call_next(call)

    one.__name__ = name
    return one


@pytest.mark.parametrize("other", ["Guardrails", "Cost", "Tracing", "Callbacks"])
async def test_stages_that_must_see_hits_stand_outside(other: str) -> None:
    with pytest.raises(PlanError, match=f"Move Cache after {other}"):
        Pipeline([Cache(), stage(other)], FakeProvider())
    assert not Pipeline([stage(other), Cache()], FakeProvider()).explain().advice


@pytest.mark.parametrize("other", ["Fallback", "Retry"])
async def test_stages_that_ask_again_had_better_stand_inside(other: str) -> None:
    assert f"Move Cache before {other}" in Pipeline([stage(other), Cache()], FakeProvider()).explain().advice[0]


async def test_the_plan_shows_settings_and_no_secret() -> None:
    plan = str(Pipeline([Cache(ttl_s=60, key_secret=CANARY)], FakeProvider()).explain())
    assert "Cache(ttl_s=60)" in plan
    assert CANARY not in plan
    assert "may answer itself" in plan


async def test_closing_the_pipeline_closes_the_store(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    bench = Bench(Cache(store=store))
    await bench.send(ask())
    await bench.pipeline.aclose()
    assert store._writer is None


# -- other processes


class TwoProcesses:
    """Two caches that share a store, each in front of a vendor of its own."""

    def __init__(self, store: Any, *answers: Any, **settings: Any) -> None:
        self.clock = FakeClock()
        self.providers = [FakeProvider(list(answers or [Scripted(delay_s=1)])) for _ in range(2)]
        self.caches = [Cache(store=store, **settings) for _ in range(2)]
        self.pipelines = [
            Pipeline([cache], provider, clock=self.clock, telemetry=False)
            for cache, provider in zip(self.caches, self.providers, strict=True)
        ]

    async def ask(self, which: int, *, stream: bool = False) -> Any:
        try:
            reply = await self.pipelines[which].send(ask(stream=stream))
            return await reply.response() if isinstance(reply, Stream) else reply
        finally:
            await self.caches[which]._afterwards.flush()

    @property
    def asked(self) -> int:
        return sum(len(provider.calls) for provider in self.providers)


@pytest.fixture
def disk(tmp_path: Path) -> DiskStore:
    """What several processes of a machine may share."""
    return DiskStore(str(tmp_path / "shared"))


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_asks_first_asks_for_other_processes_too(disk: DiskStore, stream: bool) -> None:
    two = TwoProcesses(disk)
    replies = await asyncio.gather(*(two.ask(number % 2, stream=stream) for number in range(8)))
    assert two.asked == 1
    assert {reply.text for reply in replies} == {"Hello there, general reader."}
    assert sorted(reply.record.get(CACHE).verdict for reply in replies) == ["shared"] * 7 + ["stored"]
    assert await disk.compare_and_set("cache::x:lease", None, b"", 1), "leases of other questions are free"


async def test_where_the_first_fails_another_process_asks(disk: DiskStore) -> None:
    two = TwoProcesses(disk, Scripted(delay_s=1, error=server_error(retryable=False)))
    two.providers[1].answers = [Scripted(delay_s=1)]
    first, second = await asyncio.gather(two.ask(0), two.ask(1), return_exceptions=True)
    assert isinstance(first, InternalServerError)
    assert second.text == "Hello there, general reader."
    assert two.asked == 2


async def test_one_that_dies_is_waited_for_no_longer_than_it_may(disk: DiskStore) -> None:
    two = TwoProcesses(disk, share_wait_s=5)
    others = two.caches[0]._others
    assert others is not None
    key = answer_key(Call.start(ask(), clock=two.clock, known={"fake": "fake"}))
    assert key is not None
    assert await others.leases.take(key), "and is never heard of again"
    began_ns = two.clock.now_ns()
    assert (await two.ask(1)).text
    assert (two.asked, (two.clock.now_ns() - began_ns) / 1e9) == (1, pytest.approx(6, abs=0.5))


async def test_a_cache_that_does_not_share_asks_by_itself(disk: DiskStore) -> None:
    two = TwoProcesses(disk, share=False)
    both = asyncio.Barrier(2)

    async def meets_the_other(call: Call, call_next: Handler) -> Reply:
        await both.wait()
        return await call_next(call)

    two.pipelines = [
        Pipeline([cache, meets_the_other], provider, clock=two.clock, telemetry=False)
        for cache, provider in zip(two.caches, two.providers, strict=True)
    ]
    began_ns = two.clock.now_ns()
    async with asyncio.timeout(30):
        await asyncio.gather(two.ask(0), two.ask(1))
    assert (two.asked, (two.clock.now_ns() - began_ns) / 1e9) == (2, pytest.approx(1, abs=0.5)), "nobody waited"


async def test_a_store_that_cannot_lease_is_a_miss(disk: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> bool:
        raise OSError("away")

    monkeypatch.setattr(DiskStore, "compare_and_set", broken)
    two = TwoProcesses(disk)
    reply = await two.ask(0)
    assert (reply.text, reply.record.get(CACHE).reason) == ("Hello there, general reader.", "lease: OSError")


async def test_a_lease_that_cannot_be_let_go_costs_nobody_the_answer() -> None:
    """Whoever takes the lease and then finds the answer has it, also if the store goes away in between."""

    class Leaving:
        """Grants the lease, and is away when it comes back."""

        async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
            if value is None:
                raise OSError("away")
            return True

    answers = iter([None, "the answer"])

    async def find() -> str | None:
        return next(answers)

    call = Call.start(ask(), clock=FakeClock())
    assert await Leases(Leaving(), "x", 1).wait(call, "key", find) == "the answer"


async def test_one_that_has_landed_does_not_end_the_next() -> None:
    flights = Flights()
    first, leads = flights.join("key")
    assert leads
    first.land(Landed(Scripted().response(), None))
    second, leads = flights.join("key")
    assert leads
    first.give_up()  # a leader whose own way ends badly after it has told the others
    assert flights.join("key") == (second, False)


class Elsewhere:
    """A store that others may share, and that never suspends: memory, seen from outside."""

    immediate = True

    def __init__(self) -> None:
        self.memory = MemoryStore()
        for name in ("get", "set", "delete", "take", "settle"):
            setattr(self, name, getattr(self.memory, name))
            setattr(self, f"{name}_now", getattr(self.memory, f"{name}_now"))
        self.compare_and_set, self.aclose = self.memory.compare_and_set, self.memory.aclose


@pytest.mark.parametrize("ending", ENDINGS)
async def test_however_a_call_ends_its_lease_is_free(ending: Ending, small_heap: None) -> None:
    elsewhere: Any = Elsewhere()
    taken: list[int] = []

    async def looks(call: Call, call_next: Handler) -> Reply:
        taken.append(len(elsewhere.memory._states))
        return await call_next(call)

    report = await run_ending(ending, lambda: [Cache(store=elsewhere), looks])
    report.assert_clean()
    assert taken == [1], "it was taken while the vendor was asked"
    assert elsewhere.memory._states == {}
