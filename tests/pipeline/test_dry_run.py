"""A dry run goes through the real stages and leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from builders import answer, ask, stage, stream_of, words

from glassway import Pipeline
from glassway.middlewares import Callbacks, Fallback, Retry, Timeout
from glassway.pipeline.call import Call
from glassway.pipeline.errors import BadRequestError, BudgetExceeded
from glassway.pipeline.facts import RETRIES, Retried, Slot
from glassway.pipeline.stream import observed
from glassway.testing import FakeProvider

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Previewing(FakeProvider):
    refuses: bool = False

    def preview(self, call: Call) -> dict[str, Any]:
        if self.refuses:
            raise BadRequestError("This vendor takes no such thing.")
        return {"method": "POST", "body": {"model": call.target.model}}


def stack(*stages: Any, **settings: Any) -> tuple[Pipeline, Previewing]:
    provider = Previewing(**settings)
    return Pipeline(stages, providers=[provider, FakeProvider(name="second")], telemetry=False), provider


async def test_it_dispatches_nothing_and_shows_what_it_would_have_sent() -> None:
    told: list[Any] = []
    pipeline, provider = stack(
        Callbacks(on_start=[told.append], on_success=[told.append], on_failure=[told.append]),
        Fallback(["second/b"]),
        Timeout(total_s=5),
        Retry(),
    )
    found = await pipeline.aexplain(ask())
    assert (found.reached_vendor, found.target, found.refused) == (True, "fake/fake-model", None)
    assert found.payload == {"method": "POST", "body": {"model": "fake-model"}}
    assert found.facts == {}
    assert provider.calls == []
    assert pipeline.in_flight == 0
    await pipeline.aclose()
    assert told == []


async def test_it_tells_the_target_that_the_stages_chose() -> None:
    async def route(call: Any, call_next: Any) -> Any:
        return await call_next(call.with_target(call.resolve("second/big")))

    pipeline, _ = stack(route)
    found = await pipeline.aexplain(ask())
    assert (found.target, found.payload) == ("second/big", {})
    assert str(found) == "would go to second/big"


async def test_a_stage_that_answers_itself_is_seen() -> None:
    async def keep(call: Any, call_next: Any) -> Any:
        call.set(Slot("verdict", ""), "hit")
        return answer()

    pipeline, _ = stack(keep)
    found = await pipeline.aexplain(ask())
    assert (found.reached_vendor, found.refused, found.payload, found.facts) == (False, None, {}, {"verdict": "hit"})
    assert str(found) == "would not reach a vendor (a stage answers itself)\n  verdict: hit"


async def test_a_stream_that_a_stage_answers_with_is_closed() -> None:
    stream = stream_of(words("a"))
    pipeline, _ = stack(stage(lambda call, call_next: returned(stream)))
    assert not (await pipeline.aexplain(ask(stream=True))).reached_vendor
    assert stream.outcome is not None
    assert stream.outcome.end == "closed"


async def returned(value: Any) -> Any:
    return value


async def test_a_stage_that_refuses_is_the_finding_not_an_error() -> None:
    async def refuse(call: Any, call_next: Any) -> Any:
        raise BudgetExceeded("Nothing is left.")

    pipeline, _ = stack(refuse)
    found = await pipeline.aexplain(ask())
    assert (found.reached_vendor, found.refused) == (False, "budget_exceeded: Nothing is left.")
    assert str(found).startswith("would not reach a vendor (budget_exceeded: Nothing is left.)")


async def test_a_provider_that_refuses_is_tried_once_and_told() -> None:
    pipeline, _ = stack(Retry(), refuses=True)
    assert (await pipeline.aexplain(ask())).refused == "invalid_request: This vendor takes no such thing."


async def test_a_bug_in_a_stage_is_raised() -> None:
    async def broken(call: Any, call_next: Any) -> Any:
        raise ZeroDivisionError

    pipeline, _ = stack(broken)
    with pytest.raises(ZeroDivisionError):
        await pipeline.aexplain(ask())


async def test_the_stop_is_no_failure_to_any_stage() -> None:
    seen: list[Any] = []

    async def handling(call: Any, call_next: Any) -> Any:
        try:
            return await observed(call, call_next, seen.append)
        except Exception as error:
            seen.append(error)
            raise

    pipeline, _ = stack(handling, Fallback(["second/b"]), Retry())
    found = await pipeline.aexplain(ask())
    assert RETRIES.name not in found.facts
    assert [outcome.end for outcome in seen] == ["failed"]


def test_it_has_a_sync_form_and_shows_facts_and_payload_as_text() -> None:
    async def notes(call: Any, call_next: Any) -> Any:
        call.add(RETRIES, Retried(1, "connect", 0.5, "backoff"))
        return await call_next(call)

    text = str(stack(notes)[0].explain(ask()))
    assert text.splitlines()[0] == "would go to fake/fake-model"
    assert "  retries: [Retried(attempt=1" in text
    assert '"model": "fake-model"' in text
