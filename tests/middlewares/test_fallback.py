"""Moving on to another target."""

from __future__ import annotations

from typing import Any

import pytest
from builders import Ends, ask, make, read_texts, server_error

from glassway import Pipeline
from glassway.middlewares import Fallback, Retry, Timeout
from glassway.middlewares.fallback import VENDOR_FAILURES
from glassway.pipeline.errors import (
    AllAttemptsFailed,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ContextWindowExceededError,
    GuardrailViolation,
    RateLimitError,
)
from glassway.pipeline.facts import FALLBACKS, FellBack
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


@pytest.mark.parametrize(
    ("targets", "on"),
    [([], VENDOR_FAILURES), ("fake/b", VENDOR_FAILURES), (["fake/b"], {"nonsense"})],
    ids=["none", "text", "kinds"],
)
def test_what_makes_no_sense_is_refused(targets: Any, on: Any) -> None:
    with pytest.raises(ConfigError, match="Fallback"):
        Fallback(targets, on=on)
