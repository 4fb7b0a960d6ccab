"""Moving on to another target."""

from __future__ import annotations

from typing import Any

import pytest
from builders import Ends, ask, make, read_texts, server_error

from glassway import Pipeline
from glassway.middlewares import Fallback, FallbackTarget, Retry, Router, Timeout
from glassway.middlewares.fallback import VENDOR_FAILURES
from glassway.pipeline import errors
from glassway.pipeline.errors import (
    AllAttemptsFailed,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ContentPolicyError,
    ContextWindowExceededError,
    GuardrailViolation,
    PlanError,
    RateLimitError,
)
from glassway.pipeline.facts import FALLBACK_SKIPS, FALLBACKS, FallbackSkipped, FellBack
from glassway.pipeline.stagenames import make_stage
from glassway.pipeline.stream import Stream
from glassway.testing import FakeClock, FakeProvider, Scripted

pytestmark = pytest.mark.anyio


def two(first: Any, second: Any, *stages: Any, **settings: Any) -> tuple[Pipeline, FakeProvider, FakeProvider, Ends]:
    one, other, ends = FakeProvider([first], name="one"), FakeProvider([second], name="other"), Ends()
    return (
        Pipeline([ends, *(stages or [Fallback(["other/b"])])], providers=[one, other], clock=FakeClock(), **settings),
        one,
        other,
        ends,
    )


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_the_next_target_answers_and_the_record_says_so(stream: bool) -> None:
    pipeline, one, other, ends = two(server_error(), Scripted(text="from the other"))
    reply: Any = await pipeline.send(ask(stream=stream))
    text = "".join(await read_texts(reply)) if isinstance(reply, Stream) else reply.text
    assert text == "from the other"
    assert (len(one.calls), str(other.calls[0].target)) == (1, "other/b")
    assert ends.record.get(FALLBACKS) == (FellBack("one/fake-model", "other/b", "server_error"),)
    assert (ends.record.provider, ends.record.model, ends.record.requested) == ("other", "b", "fake-model")
    assert [attempt.reason for attempt in ends.record.attempts] == ["first", "fallback"]


async def test_a_first_answer_asks_nobody_else() -> None:
    pipeline, _, other, ends = two(Scripted(), Scripted())
    await pipeline.send(ask())
    assert other.calls == []
    assert ends.record.get(FALLBACKS) == ()


async def test_targets_are_tried_in_order() -> None:
    setup = make(
        [Fallback(["fake/b", "fake/c", "fake/d"])], [server_error(), AuthenticationError("no key"), Scripted()]
    )
    await setup.answer()
    assert [call.target.model for call in setup.provider.calls] == ["fake-model", "b", "c"]


@pytest.mark.parametrize(
    "error",
    [BadRequestError("bad"), ContextWindowExceededError("long"), GuardrailViolation("no")],
    ids=lambda e: type(e).__name__,
)
async def test_what_is_wrong_anywhere_is_raised_as_it_is(error: Exception) -> None:
    async def raising(call: Any, call_next: Any) -> Any:
        raise error

    setup = make([Fallback(["fake/b"]), raising])
    with pytest.raises(type(error)) as caught:
        await setup.send()
    assert caught.value is error


async def test_kinds_may_be_added() -> None:
    setup = make(
        [Fallback(["fake/large"], on={*VENDOR_FAILURES, "context_length"})],
        [ContextWindowExceededError("long"), Scripted()],
    )
    await setup.answer()
    assert len(setup.provider.calls) == 2


async def test_when_all_fail_every_error_is_there() -> None:
    first = server_error(retry_after_s=5.0)
    last = RateLimitError("slow down", status_code=429, retry_after_s=2.0, request_id="r-9")
    pipeline, _, _, ends = two(first, last)
    with pytest.raises(
        AllAttemptsFailed,
        match=r"2 targets failed \(one/fake-model: server_error; other/b: rate_limited\). The last one said: slow down",
    ) as caught:
        await pipeline.send(ask())
    error = caught.value
    assert error.errors == (first, last)
    assert (error.provider, error.model, error.request_id, error.status_code) == ("other", "b", "r-9", 429)
    assert (error.retry_after_s, error.retryable, error.attempts) == (2.0, True, 2)
    assert error.__cause__ is last
    assert ends.record.error == "exhausted"


async def test_a_last_error_that_no_target_can_help_ends_the_search() -> None:
    pipeline, *_ = two(server_error(), BadRequestError("bad"), Fallback(["other/b", "one/c"]))
    with pytest.raises(AllAttemptsFailed) as caught:
        await pipeline.send(ask())
    assert [type(error) for error in caught.value.errors] != []
    assert len(caught.value.errors) == 2


async def test_no_time_left_means_no_further_target() -> None:
    pipeline, _, other, _ = two(Scripted(delay_s=100), Scripted(), timeout_s=5)
    with pytest.raises(Exception, match="deadline passed"):
        await pipeline.send(ask())
    assert other.calls == []


async def test_the_attempt_budget_bounds_retries_and_targets_together() -> None:
    pipeline, one, other, _ = two(
        server_error(), server_error(), Fallback(["other/b", "one/c", "other/d"]), Retry(attempts=3), attempts=4
    )
    with pytest.raises(AllAttemptsFailed) as caught:
        await pipeline.send(ask())
    assert len(one.calls) + len(other.calls) == 4
    assert caught.value.attempts == 4


async def test_a_timeout_inside_it_moves_on() -> None:
    pipeline, *_, ends = two(Scripted(delay_s=100), Scripted(), Fallback(["other/b"]), Timeout(first_chunk_s=1))
    await pipeline.send(ask())
    assert [attempt.error for attempt in ends.record.attempts] == ["timeout", None]


# -- lists by kind, targets with settings of their own, the Router's rest


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (ContextWindowExceededError("long"), ["fake-model", "large"]),
        (ContentPolicyError("no"), ["fake-model", "frank"]),
        (RateLimitError("slow"), ["fake-model", "b", "c"]),
        (server_error(), ["fake-model", "b", "c"]),
        (BadRequestError("bad"), ["fake-model"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_each_kind_of_error_may_have_targets_of_its_own(error: Exception, asked: list[str]) -> None:
    lists = {"context_length": ["fake/large"], "content_filter": ["fake/frank"], "default": ["fake/b", "fake/c"]}
    setup = make([Fallback(lists)], [error])  # type: ignore[arg-type]  # kinds as plain text
    with pytest.raises(Exception):  # noqa: B017 - which one is tested above
        await setup.send()
    assert [call.target.model for call in setup.provider.calls] == asked


@pytest.mark.parametrize("kind", ["budget_exceeded", "circuit_open", "limit_exceeded", "queue_full"])
async def test_what_the_own_stack_refuses_may_be_sent_elsewhere(kind: Any) -> None:
    [error] = [each for each in vars(errors).values() if getattr(each, "kind", "") == kind]

    async def refusing(call: Any, call_next: Any) -> Any:
        if call.reason == "first":
            raise error("not here")
        return await call_next(call)

    setup = make([Fallback({kind: ["fake/b"]}), refusing])
    await setup.answer()
    assert setup.record.get(FALLBACKS) == (FellBack("fake/fake-model", "fake/b", kind),)


async def test_a_list_goes_on_where_it_was_left_and_no_target_is_asked_twice() -> None:
    lists: Any = {"context_length": ["fake/b", "fake/large"], "default": ["fake/b", "fake/c"]}
    script = [server_error(), ContextWindowExceededError("long"), server_error(), Scripted()]
    setup = make([Fallback(lists)], script)
    await setup.answer()
    assert [call.target.model for call in setup.provider.calls] == ["fake-model", "b", "large", "c"]
    assert setup.record.get(FALLBACK_SKIPS) == (FallbackSkipped("fake/b", "tried"),)


async def test_the_calls_own_target_is_not_asked_again() -> None:
    setup = make([Fallback(["fake/fake-model", "fake/b"])], [server_error()])
    with pytest.raises(AllAttemptsFailed):
        await setup.send()
    assert [call.target.model for call in setup.provider.calls] == ["fake-model", "b"]
    assert setup.record.get(FALLBACK_SKIPS) == (FallbackSkipped("fake/fake-model", "own_target"),)


async def test_a_target_may_have_parameters_of_its_own() -> None:
    targets = [FallbackTarget("fake/b", {"temperature": 0.0, "max_tokens": 5}), "fake/c"]
    setup = make([Fallback(targets)], [server_error(), server_error(), Scripted()])
    await setup.answer(temperature=1.0)
    requests: list[Any] = [call.request for call in setup.provider.calls]
    assert [(request.temperature, request.max_tokens) for request in requests] == [(1.0, None), (0.0, 5), (1.0, None)]
    assert setup.provider.calls[0].state.request is requests[2]


async def test_what_the_router_left_comes_next() -> None:
    router = Router(groups={"fake-model": {"targets": ["fake/a", "fake/b", "fake/c"], "strategy": "priority"}})
    setup = make([router, Fallback("route")], [server_error(), server_error(), Scripted()])
    await setup.answer()
    assert [call.target.model for call in setup.provider.calls] == ["a", "b", "c"]


async def test_what_the_router_left_may_be_one_of_the_lists() -> None:
    router = Router(groups={"fake-model": {"targets": ["fake/a", "fake/b"], "strategy": "priority"}})
    lists: Any = {"default": "route", "context_length": ["fake/large"]}
    setup = make([router, Fallback(lists)], [server_error(), ContextWindowExceededError("long"), Scripted()])
    await setup.answer()
    assert [call.target.model for call in setup.provider.calls] == ["a", "b", "large"]


def test_without_a_router_there_is_nothing_left_of_a_route() -> None:
    with pytest.raises(PlanError, match="Fallback needs the fact 'route'"):
        make([Fallback("route")])
    assert Fallback.rule.needs == ()


# -- latency


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_target_that_is_slow_to_begin_is_left_for_the_next(stream: bool) -> None:
    stages = Fallback(["other/b"], first_chunk_s=2)
    pipeline, one, _, ends = two(Scripted(delay_s=30), Scripted(text="quick", delay_s=1), stages)
    reply: Any = await pipeline.send(ask(stream=stream))
    assert (await reply.response() if stream else reply).text == "quick"
    assert ends.record.get(FALLBACKS) == (FellBack("one/fake-model", "other/b", "timeout", "latency"),)
    assert [attempt.error for attempt in ends.record.attempts] == ["cancelled", None]
    assert one.open_streams == 0


async def test_a_stream_that_has_begun_may_be_slow() -> None:
    pipeline, _, other, _ = two(Scripted(gap_s=30), Scripted(), Fallback(["other/b"], first_chunk_s=2))
    reply: Any = await pipeline.send(ask(stream=True))
    await reply.response()
    assert other.calls == []


async def test_all_tries_of_a_target_together_have_that_time() -> None:
    stages = [Fallback(["other/b"], first_chunk_s=2), Retry(initial_s=1, maximum_s=1, strategy="exponential")]
    pipeline, one, _, _ = two(Scripted(delay_s=0.5, error=server_error()), Scripted(), *stages)
    await pipeline.send(ask())
    assert len(one.calls) == 2


async def test_the_last_target_has_all_the_time_there_is() -> None:
    pipeline, _, _, ends = two(Scripted(delay_s=30), Scripted(delay_s=30), Fallback(["other/b"], first_chunk_s=2))
    await pipeline.send(ask())
    assert ends.record.end == "completed"


async def test_slow_targets_may_have_a_list_of_their_own() -> None:
    lists: Any = {"latency": ["fake/quick"], "default": ["fake/b"]}
    setup = make([Fallback(lists, first_chunk_s=1)], [Scripted(delay_s=5), Scripted()])
    await setup.answer()
    assert [call.target.model for call in setup.provider.calls] == ["fake-model", "quick"]


async def test_slowness_that_nobody_is_left_for_is_waited_out() -> None:
    setup = make([Fallback({"context_length": ["fake/large"]}, first_chunk_s=1)], [Scripted(delay_s=5)])
    await setup.answer()
    assert len(setup.provider.calls) == 1


async def test_without_another_attempt_slowness_is_waited_out() -> None:
    setup = make([Fallback(["fake/b"], first_chunk_s=1)], [Scripted(delay_s=5)], attempts=1)
    await setup.answer()
    assert setup.clock.slept_s == 5


# -- settings


def test_it_may_be_written_in_yaml() -> None:
    said = {"targets": ["a/b", {"target": "c/d", "params": {"temperature": 0}}], "mid_stream": "continue"}
    assert make_stage("fallback", said) == Fallback(
        ["a/b", FallbackTarget("c/d", {"temperature": 0})], mid_stream="continue"
    )
    lists: Any = {"context_length": ["big/one"], "default": "route"}
    assert make_stage("fallback", {"targets": lists}) == Fallback(lists)
    with pytest.raises(ConfigError, match="targets"):
        make_stage("fallback", {"targets": [{"target": "c/d", "parms": {}}]})
    with pytest.raises(ConfigError, match="targets"):
        make_stage("fallback", {})


@pytest.mark.parametrize(
    "settings",
    [
        {"targets": []},
        {"targets": "fake/b"},
        {"targets": {}},
        {"targets": {"nonsense": ["fake/b"]}},
        {"targets": {"timeout": []}},
        {"targets": ["fake/b", "fake/b"]},
        {"targets": [3]},
        {"targets": {"latency": ["fake/b"]}},
        {"on": {"nonsense"}},
        {"on": "timeout"},
        {"first_chunk_s": 0},
        {"mid_stream": "mend"},
        {"restart_under_tokens": 0},
        {"instruction": " "},
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match="Fallback"):
        Fallback(**{"targets": ["fake/b"], **settings})


def test_what_a_target_cannot_replace_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"FallbackTarget\.params: stream"):
        FallbackTarget("fake/b", {"stream": True})
