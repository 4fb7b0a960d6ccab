"""One request to a vendor: limited, observed, and written down."""

from __future__ import annotations

from typing import Any

import pytest
from builders import Blocks, answer, ask, make, server_error, words

from glassway import Pipeline
from glassway.middlewares import Retry
from glassway.pipeline.attempts import traceparent
from glassway.pipeline.call import Call, Target
from glassway.pipeline.errors import AllAttemptsFailed
from glassway.pipeline.facts import Attempt
from glassway.pipeline.stream import Stream
from glassway.pipeline.trace import Trace
from glassway.pipeline.types import ChatChunk, Usage, assemble_chat
from glassway.testing import FakeClock, Scripted

pytestmark = pytest.mark.anyio


async def test_a_unary_attempt_is_written_down() -> None:
    setup = make([], [Scripted(delay_s=2)])
    await setup.send()
    [attempt] = setup.record.attempts
    assert (attempt.number, attempt.provider, attempt.model, attempt.reason, attempt.request_id) == (
        1,
        "fake",
        "fake-model",
        "first",
        "req-1",
    )
    assert (attempt.useful, attempt.error, attempt.usage_source, attempt.duration_s) == (True, None, "provider", 2)
    assert attempt.usage == Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)


async def test_a_streamed_attempt_knows_its_first_content_and_its_gaps() -> None:
    setup = make([], [Scripted(text="a b", delay_s=2, gap_s=1)])
    await setup.answer(stream=True)
    [attempt] = setup.record.attempts
    assert attempt.first_chunk_ns is not None
    assert attempt.first_content_ns is not None
    assert (attempt.first_content_ns - attempt.first_chunk_ns) == 10**9  # the very first holds the role alone
    assert (attempt.chunks, attempt.duration_s) == (4, 6)
    assert attempt.gaps_ns[:3] == [10**9] * 3
    assert setup.record.first_chunk_s == 2


async def test_a_slow_consumer_does_not_show_in_the_gaps() -> None:
    setup = make([], [Scripted(text="a b", gap_s=1)])
    async for _ in await setup.send(stream=True):
        await setup.clock.sleep(50)
    [attempt] = setup.record.attempts
    assert attempt.gaps_ns[:3] == [10**9] * 3


async def test_a_cut_attempt_keeps_the_counts_that_had_come() -> None:
    async def vendor(call: Call) -> Stream:
        return Stream(
            Blocks([[ChatChunk(usage=Usage(prompt_tokens=3))], server_error()]), assemble_chat, first=words("a")
        )

    setup = make()
    pipeline = Pipeline([setup.ends], vendor)
    reply: Any = await pipeline.send(ask(stream=True))
    with pytest.raises(Exception, match="failed"):
        await reply.response()
    [attempt] = setup.record.attempts
    assert (attempt.usage, attempt.usage_source, attempt.useful) == (Usage(prompt_tokens=3), "partial", False)


async def test_a_stream_that_was_not_primed_has_its_first_chunk_later() -> None:
    clock = FakeClock()

    async def vendor(call: Call) -> Stream:
        return Stream(Blocks([words("a")], clock, delay_s=3), assemble_chat)

    setup = make()
    pipeline = Pipeline([setup.ends], vendor, clock=clock, timeout_s=None)
    reply: Any = await pipeline.send(ask(stream=True))
    await reply.response()
    assert setup.record.first_chunk_s == 3


async def test_a_sources_own_timeout_is_not_taken_for_the_calls() -> None:
    async def vendor(call: Call) -> Stream:
        return Stream(Blocks([TimeoutError("a socket's")]), assemble_chat, first=words("a"))

    reply: Any = await Pipeline([], vendor).send(ask(stream=True))
    with pytest.raises(TimeoutError, match="a socket's"):
        await reply.response()


async def test_a_spent_budget_is_told() -> None:
    async def stubborn(call: Call, call_next: Any) -> Any:
        await call_next(call)
        return await call_next(call)

    setup = make([stubborn], attempts=1)
    with pytest.raises(
        AllAttemptsFailed, match=r"attempt budget is spent: 1 requests were sent. Raise `attempts`"
    ) as caught:
        await setup.send()
    assert (caught.value.attempts, caught.value.provider, caught.value.model) == (1, "fake", "fake-model")


def test_the_header_of_a_kept_trace() -> None:
    trace = Trace(FakeClock())
    call = Call.start(ask(), trace=trace)
    assert traceparent(call) is None
    trace.trace_id, trace.flags = 0xABC, 1
    assert traceparent(call) is None
    attempt = call.in_attempt(Attempt(1, "fake", "m", 0, span_id=0xDEF))
    assert traceparent(attempt) == f"00-{0xABC:032x}-{0xDEF:016x}-01"
    assert traceparent(Call.start(ask())) is None


async def test_attempts_of_kept_traces_have_ids_and_are_told_to_who_keeps_them() -> None:
    told: list[str] = []

    class Keeper:
        def attempt_begins(self, attempt: Attempt) -> None:
            told.append("begins")

        def attempt_ends(self, attempt: Attempt) -> None:
            told.append(f"ends {attempt.error}")

    async def keep(call: Call, call_next: Any) -> Any:
        assert call.state.trace is not None
        call.state.trace.trace_id = 5
        call.state.trace.telemetry = Keeper()  # type: ignore[assignment]
        try:
            return await call_next(call)
        finally:
            call.state.trace.telemetry = None

    setup = make([keep], [server_error()])
    with pytest.raises(Exception, match="failed"):
        await setup.send()
    assert told == ["begins", "ends server_error"]
    assert setup.record.attempts[0].span_id != 0


async def test_an_answer_from_elsewhere_has_no_attempt() -> None:
    async def keep(call: Call, call_next: Any) -> Any:
        return answer()

    setup = make([keep])
    await setup.send()
    record = setup.record
    assert (record.attempts, record.usage, record.request_id, record.first_chunk_s) == ((), None, None, None)


class Watching:
    """Notes what it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, object]] = []

    def attempt_began(self, attempt: Attempt) -> None:
        self.told.append(("began", attempt.number, attempt.end_ns))

    def attempt_ended(self, attempt: Attempt) -> None:
        self.told.append(("ended", attempt.number, attempt.error))


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_stage_may_watch_the_attempts_of_a_call_failures_too(stream: bool) -> None:
    watching = Watching()

    async def stage(call: Call, call_next: Any) -> Any:
        call.watch_attempts(watching)
        return await call_next(call)

    setup = make([stage, Retry(strategy="exponential")], [server_error(), Scripted()])
    await setup.answer(stream=stream)
    assert watching.told == [("began", 1, None), ("ended", 1, "server_error"), ("began", 2, None), ("ended", 2, None)]


async def test_a_stage_that_knows_of_open_circuits_is_asked_through_the_call() -> None:
    class Breaker:
        def circuit_open(self, call: Call, target: Target) -> bool:
            return target.model == "broken"

        async def __call__(self, call: Call, call_next: Any) -> Any:
            return await call_next(call)

    asked: list[bool] = []

    async def stage(call: Call, call_next: Any) -> Any:
        asked.extend(call.circuit_open(call.resolve(name)) for name in ("fine", "broken"))
        return await call_next(call)

    await make([stage, Breaker()]).answer()
    await make([stage]).answer()
    assert asked == [False, True, False, False]
