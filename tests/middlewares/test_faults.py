"""Failures on purpose: what everything outside sees, whom they strike, and that nobody mistakes them for the vendor's."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from builders import ask, make, running

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cost, Fallback, FaultRule, Faults, Retry, Timeout
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.config import Config
from glassway.pipeline.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConfigError,
    InternalServerError,
    RateLimitError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from glassway.pipeline.facts import FALLBACKS, FAULTS, RETRIES, FaultInjected
from glassway.pipeline.stream import Stream
from glassway.pipeline.types import EmbeddingsRequest, EmbeddingsResponse
from glassway.testing import FakeProvider, Scripted, scripted_tool_call
from glassway.testing.finalizers import ENDINGS, run_ending
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

WHOLE = "one two three four five six"


async def failure(setup: Any, options: CallOptions = NO_OPTIONS, **fields: Any) -> Any:
    with pytest.raises(Exception) as caught:
        await setup.answer(options, **fields)
    return caught.value


def faulty(kind: Any, script: Scripted | None = None, **settings: Any) -> Any:
    return make([Faults([FaultRule(kind, **settings)])], [script or Scripted(text=WHOLE)])


REFUSED: dict[str, tuple[type[APIError], int | None]] = {
    "rate_limit": (RateLimitError, 429),
    "server_error": (InternalServerError, 500),
    "overloaded": (ServiceUnavailableError, 529),
    "timeout": (APITimeoutError, None),
    "connection": (APIConnectionError, None),
}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refusal_is_an_attempt_that_no_vendor_saw(kind: str, stream: bool) -> None:
    setup = faulty(kind)
    error = await failure(setup, stream=stream)
    cls, status = REFUSED[kind]
    assert type(error) is cls
    assert (error.status_code, error.retryable) == (status, True)
    [attempt] = setup.record.attempts
    assert (attempt.provider, attempt.model, attempt.status_code, attempt.error) == ("fake", "fake-model", status, error.kind)  # fmt: skip
    assert setup.provider.calls == []
    assert "on purpose" in error.message


async def test_a_rate_limit_says_when_to_come_back_and_retry_obeys() -> None:
    setup = make([Retry(attempts=2), Faults([FaultRule("rate_limit", first=1, retry_after_s=7)])])
    await setup.answer()
    assert setup.clock.slept_s == 7
    assert setup.record.get(RETRIES)[0].told_by == "retry_after"


async def test_a_status_can_be_said() -> None:
    assert (await failure(faulty("server_error", status=503))).status_code == 503


BROKEN: dict[str, type[APIError]] = {
    "cut": StreamInterruptedError,
    "malformed_event": ResponseValidationError,
    "error_event": InternalServerError,
}


@pytest.mark.parametrize("blocks", [1, 3, 100], ids=lambda size: f"blocks of {size}")
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_stream_breaks_behind_so_many_chunks(kind: str, blocks: int) -> None:
    setup = faulty(kind, Scripted(text=WHOLE, chunks_per_block=blocks), after_chunks=3)
    reply = await setup.send(stream=True)
    seen = [(await anext(reply)).text for _ in range(3)]
    with pytest.raises(BROKEN[kind]) as caught:
        await anext(reply)
    assert seen == ["", "one ", "two "]
    assert caught.value.partial.text == "one two "
    assert setup.record.end == "interrupted"
    assert setup.record.attempts[0].error == caught.value.kind
    assert setup.provider.open_streams == 0


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_stream_never_reaches_its_finish(kind: str) -> None:
    setup = faulty(kind, after_chunks=1000)
    reply = await setup.send(stream=True)
    with pytest.raises(BROKEN[kind]) as caught:
        await reply.response()
    assert caught.value.partial.text == WHOLE
    assert caught.value.partial.finish_reason is None


@pytest.mark.parametrize(("kind", "error"), [*{**BROKEN, "cut": APIConnectionError}.items()])
@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["unary", "before output"])
async def test_before_any_output_a_break_is_an_exception(kind: str, error: Any, fields: Any) -> None:
    setup = faulty(kind, after_chunks=0)
    assert type(await failure(setup, **fields)) is error
    assert setup.provider.calls == []


async def test_a_slow_first_chunk_takes_its_time() -> None:
    setup = faulty("slow_first_chunk", for_s=3)
    await setup.answer(stream=True)
    assert setup.clock.slept_s == 3


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_first_chunk_that_is_too_slow_meets_the_limit_as_a_vendor_would(stream: bool) -> None:
    setup = make([Timeout(first_chunk_s=2), Faults([FaultRule("slow_first_chunk", for_s=3)])])
    error = await failure(setup, stream=stream)
    assert type(error) is APITimeoutError
    assert "first chunk within 2 s" in error.message
    assert setup.clock.slept_s == 2
    assert setup.record.attempts[0].error == "timeout"


async def test_what_a_slow_fault_takes_is_taken_from_the_limit() -> None:
    faults = Faults([FaultRule("slow_first_chunk", for_s=3)])
    setup = make([Timeout(first_chunk_s=5), faults], [Scripted(delay_s=2.5)])
    assert type(await failure(setup)) is APITimeoutError
    assert setup.clock.slept_s == 5


async def test_a_stall_is_silence_in_the_middle() -> None:
    setup = faulty("stall", after_chunks=3, for_s=4)
    reply = await setup.send(stream=True)
    times = [setup.clock.slept_s async for _ in reply]
    assert times[:5] == [0, 0, 0, 4, 4]
    assert reply.outcome is not None
    assert reply.outcome.ok


async def test_a_stall_that_is_too_long_meets_the_limit_as_a_vendors_would() -> None:
    setup = make([Timeout(between_chunks_s=2), Faults([FaultRule("stall", after_chunks=3, for_s=60)])])
    error = await failure(setup, stream=True)
    assert "further chunk within 2 s" in error.message
    assert (setup.clock.slept_s, setup.record.end) == (2, "timeout")
    assert setup.provider.open_streams == 0


async def test_a_whole_answer_stalls_before_it_comes() -> None:
    setup = faulty("stall", for_s=4)
    await setup.answer()
    assert setup.clock.slept_s == 4


async def test_a_chunk_comes_twice() -> None:
    reply = await faulty("duplicate_chunk", after_chunks=2).send(stream=True)
    assert [chunk.text async for chunk in reply] == ["", "one ", "two ", "two ", "three ", "four ", "five ", "six", ""]


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_missing_usage_is_missing_for_the_bill_too(stream: bool) -> None:
    setup = make([Cost(), Faults([FaultRule("missing_usage")])])
    response = await setup.answer(stream=stream, model="fake/gpt-4o-mini")
    assert response.usage is None
    assert setup.record.usage is None
    assert setup.record.cost.usage_source == "tokenizer"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_arguments_of_tools_end_in_the_middle(stream: bool) -> None:
    script = Scripted(tool_calls=[scripted_tool_call("get_weather", '{"city": "Oslo"}')], finish_reason="tool_calls")
    setup = faulty("truncated_tool_json", script)
    [call] = (await setup.answer(stream=stream)).tool_calls
    assert call.function is not None
    assert call.function.arguments == '{"city":'
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.function.arguments)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_wrong_content(stream: bool) -> None:
    setup = faulty("wrong_content", text="Nonsense.")
    response = await setup.answer(stream=stream)
    assert (response.text, response.finish_reason) == ("Nonsense.", "stop")


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_an_answer_that_a_fault_cannot_harm_was_not_struck(stream: bool) -> None:
    setup = faulty("truncated_tool_json")
    assert (await setup.answer(stream=stream)).text == WHOLE
    assert setup.record.get(FAULTS) == ()


async def test_other_operations_are_struck_too() -> None:
    async def vendor(call: Any) -> Any:
        return EmbeddingsResponse.model_validate(
            {"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
        )

    pipeline = Pipeline([Faults(["missing_usage;operation=embeddings"])], vendor)
    async with pipeline:
        response = await pipeline.send(EmbeddingsRequest(model="m", input="text"))
    assert not isinstance(response, Stream)
    assert response.usage is None


# -- whom they strike


async def struck(setup: Any, times: int, options: CallOptions = NO_OPTIONS) -> list[int]:
    """Which of so many calls failed, from 1."""
    failed = []
    for number in range(1, times + 1):
        try:
            await setup.answer(options)
        except InternalServerError:
            failed.append(number)
    return failed


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"first": 2}, [1, 2]),
        ({"every": 3}, [3, 6, 9]),
        ({"every": 2, "first": 5}, [2, 4]),
        ({"target": "fake/fake-*"}, list(range(1, 11))),
        ({"target": "other/*"}, []),
        ({"tenant": "acme*"}, list(range(1, 11))),
        ({"tenant": "nobody"}, []),
        ({"tag": "load-?"}, list(range(1, 11))),
        ({"tag": "batch"}, []),
        ({"operation": "embeddings"}, []),
        ({"probability": 0.0}, []),
    ],
    ids=str,
)
async def test_whom_a_rule_strikes(settings: Any, expected: list[int]) -> None:
    options = CallOptions(tenant="acme-1", tags=("web", "load-1"))
    assert await struck(faulty("server_error", **settings), 10, options) == expected


async def test_lots_are_drawn_alike_from_one_seed() -> None:
    def drawing(seed: int) -> Any:
        return make([Faults([FaultRule("server_error", probability=0.3)], seed=seed)])

    once, again, other = [await struck(drawing(seed), 200) for seed in (1, 1, 2)]
    assert once == again != other
    assert 40 < len(once) < 80


async def test_a_window_of_time() -> None:
    setup = faulty("server_error", from_s=10, until_s=20)
    failed = []
    for _ in range(6):
        failed += await struck(setup, 1) and [setup.clock.slept_s]
        setup.clock.advance(5)
    assert failed == [10, 15]


async def test_the_first_rule_that_is_due_strikes_and_the_others_do_not_count_it() -> None:
    rules = [FaultRule("server_error", first=1), FaultRule("overloaded", first=1)]
    setup = make([Faults(rules)])
    assert [type(await failure(setup)) for _ in range(2)] == [InternalServerError, ServiceUnavailableError]
    assert (await setup.answer()).text


async def test_fallback_goes_round_a_target_that_fails() -> None:
    setup = make([Fallback(["fake/spare"]), Faults([FaultRule("overloaded", target="*/fake-model")])])
    assert (await setup.answer()).text
    assert setup.record.get(FALLBACKS)[0].error == "overloaded"
    assert [attempt.model for attempt in setup.record.attempts] == ["fake-model", "spare"]


# -- asked for by the call


ASKS = CallOptions(metadata={"fault": "rate_limit;retry_after_s=3"})


async def test_a_call_may_ask_for_its_own_where_that_is_allowed() -> None:
    setup = make([Faults(by_metadata=True)])
    assert (await failure(setup, ASKS)).retry_after_s == 3
    assert setup.record.get(FAULTS) == (FaultInjected("rate_limit", 0, "fake/fake-model"),)


async def test_by_default_no_call_can_ask() -> None:
    assert (await make([Faults()]).answer(ASKS)).text


@pytest.mark.parametrize("text", ["nonsense", "cut;every=2", "cut;target=x", "stall;for_s=soon", "cut;after_chunks=-1"])
async def test_a_fault_that_cannot_be_read_is_told(text: str) -> None:
    setup = make([Faults(by_metadata=True)])
    assert isinstance(await failure(setup, CallOptions(metadata={"fault": text})), ConfigError)


# -- never by accident, never mistaken


async def test_switched_off_it_strikes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with running([Faults([FaultRule("server_error")], enabled=False, by_metadata=True)]) as setup:
        assert (await setup.answer(ASKS)).text
    assert caplog.records == []


async def test_the_log_says_that_it_is_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with running([Faults([FaultRule("cut", target="nobody")])]):
        pass
    assert "calls fail on purpose" in caplog.text


def test_the_plan_says_so() -> None:
    plan = Pipeline([Faults(["cut"])], FakeProvider()).explain()
    assert "fails calls on purpose: for tests and staging" in str(plan)
    assert "glassway_faults_injected_total" in str(plan)
    assert plan.to_dict()["stages"][0]["notes"] == ["fails calls on purpose: for tests and staging"]


def test_outside_of_what_it_should_prove_it_is_advised_against() -> None:
    advice = Pipeline([Faults(["cut"]), Retry()], FakeProvider()).explain().advice
    assert advice == ("Move Faults after Retry in the list: a fault outside it passes it by, and proves nothing about it.",)  # fmt: skip
    assert Pipeline([Retry(), Faults(["cut"])], FakeProvider()).explain().advice == ()


async def test_a_dry_run_is_struck_by_nothing() -> None:
    dry = await make([Faults(["connection"])]).pipeline.aexplain(ask())
    assert dry.reached_vendor


async def test_each_is_a_fact_and_is_counted() -> None:
    with record_telemetry() as recorded:
        setup = make([Faults(["overloaded;first=1", "wrong_content"])], telemetry=recorded.telemetry)
        async with setup.pipeline:
            await failure(setup)
            await setup.answer(stream=True)
    kinds = [record.get(FAULTS) for record in setup.ends.records]
    assert kinds == [(FaultInjected("overloaded", 1, "fake/fake-model"),), (FaultInjected("wrong_content", 2, "fake/fake-model"),)]  # fmt: skip
    assert recorded.metrics['glassway_faults_injected_total{fault="overloaded"}'] == 1
    assert recorded.metrics['glassway_faults_injected_total{fault="wrong_content"}'] == 1
    assert_conformant(recorded.spans, recorded.metrics)
    assert "glassway.fault" in {event.name for span in recorded.spans for event in span.events}


KINDS_ON_STREAMS = ("cut", "malformed_event", "duplicate_chunk", "missing_usage", "wrong_content", "stall")


@pytest.mark.parametrize("telemetry", [None, False], ids=["telemetry", "bare"])
@pytest.mark.parametrize("kind", KINDS_ON_STREAMS)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_however_a_struck_call_ends_nothing_is_left(ending: Any, kind: Any, telemetry: Any) -> None:
    rule = FaultRule(kind, after_chunks=2, for_s=0.1)
    (await run_ending(ending, lambda: [Faults([rule])], telemetry=telemetry)).assert_clean()


def test_a_sync_call_is_struck_alike() -> None:
    with Client(Pipeline([Faults(["cut;after_chunks=2"])], FakeProvider())) as client:
        with pytest.raises(StreamInterruptedError):
            list(client.chat("fake-model", "Hi", stream=True))
        with pytest.raises(APIConnectionError):
            client.chat("fake-model", "Hi")


# -- settings


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "nonsense"},
        {"probability": 1.5},
        {"every": 0},
        {"first": 0},
        {"status": 404},
        {"from_s": 5.0, "until_s": 5.0},
        {"after_chunks": -1},
        {"operation": "dance"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_rules_that_cannot_be_are_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match=f"FaultRule.{list(settings)[-1]}"):
        FaultRule(**{"kind": "cut", **settings})


@pytest.mark.parametrize("rules", ["cut", {"kind": "cut"}, [3], [{"knd": "cut"}], [{"first": 2}], [{"kind": "cut", "every": "2"}], ["cut;every"]])  # fmt: skip
def test_settings_that_are_no_rules_are_refused(rules: Any) -> None:
    with pytest.raises(ConfigError):
        Faults(rules)


def test_yaml_can_say_it() -> None:
    read = Config.read(
        {"pipeline": [{"faults": {"rules": ["rate_limit;first=2", {"kind": "cut", "target": "openai/*"}]}}]}, {}
    )
    faults = read.pipeline(telemetry=False).stages["Faults"]
    assert isinstance(faults, Faults)
    assert faults.rules == (FaultRule("rate_limit", first=2), FaultRule("cut", target="openai/*"))
