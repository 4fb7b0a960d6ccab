"""Shadows: what they would have done is known, and the calls are as without them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from builders import Ends, ask, server_error
from pydantic import SecretStr
from vectors import embed

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cache, Cost, Guardrails, Retry, SemanticCache, Shadow, ShadowReport
from glassway.middlewares.guardrails import Regex
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.errors import ConfigError, PlanError
from glassway.pipeline.facts import GUARDRAILS, SHADOW, SHADOWS
from glassway.pipeline.stagenames import make_stage
from glassway.pipeline.stream import Stream
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio


PRICES = Cost(overrides={"fake/fake-model": {"input": 1, "output": 2}, "other/model": {"input": 10, "output": 20}})


@dataclass
class Beside:
    """A pipeline with a shadow, and what the shadow came to."""

    settings: dict[str, Any]
    answers: Any = (Scripted("same"),)
    others: Any = (Scripted("same"),)
    outside: tuple[Any, ...] = ()
    inside: tuple[Any, ...] = ()
    telemetry: Any = None
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.reports: list[ShadowReport] = []

        async def note(report: ShadowReport) -> None:
            self.reports.append(report)

        self.stage = Shadow(**{"share": 1.0, "on_result": [note]} | self.settings)
        self.fake, self.other, self.ends = FakeProvider(self.answers), FakeProvider(self.others, "other"), Ends()
        self.pipeline = Pipeline(
            [self.ends, *self.outside, self.stage, *self.inside],
            providers=[self.fake, self.other],
            clock=self.clock,
            telemetry=self.telemetry,
        )

    async def ask(self, text: str = "Hi", options: CallOptions = NO_OPTIONS, **fields: Any) -> Any:
        reply = await self.pipeline.send(ask(text, **fields), options)
        return await reply.response() if isinstance(reply, Stream) else reply

    async def settled(self) -> None:
        """When no shadow is under way: some wait for a thread, which a clock that stands still does not."""
        until = time.monotonic() + 20
        while (await self.stage.state())["running"]:
            assert time.monotonic() < until
            await asyncio.sleep(0)

    async def over(self) -> ShadowReport:
        """The only report, when everything has ended."""
        await self.pipeline.aclose()
        [report] = self.reports
        return report


async def shadowed(settings: dict[str, Any], *, stream: bool = False, **parts: Any) -> tuple[Beside, ShadowReport]:
    setup = Beside(settings, **parts)
    await setup.ask(stream=stream)
    return setup, await setup.over()


TARGET = {"target": "other/model"}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("other", "verdict", "found"),
    [
        (Scripted("same"), "agreed", ()),
        (Scripted("else"), "differed", ("text",)),
        (Scripted("same", finish_reason="length"), "differed", ("finish_reason",)),
        (server_error(), "failed", ()),
    ],
)
async def test_a_target_is_asked_the_same_and_compared(
    stream: bool, other: Any, verdict: str, found: tuple[str, ...]
) -> None:
    setup, report = await shadowed(TARGET, others=[other], stream=stream)
    assert (report.result.verdict, report.result.differences) == (verdict, found)
    assert report.result.target == "other/model"
    assert [(call.request.model, call.request.stream) for call in setup.other.calls] == [("other/model", stream)]
    assert report.result.of_call_id == setup.ends.record.call_id
    assert [begun.call_id for begun in setup.ends.record.get(SHADOWS)] == [report.record.call_id]
    assert setup.other.open_streams == setup.fake.open_streams == 0


async def test_the_call_knows_nothing_of_its_attempts_tokens_and_cost() -> None:
    setup, report = await shadowed(TARGET, outside=(PRICES,))
    record = setup.ends.record
    assert [attempt.provider for attempt in record.attempts] == ["fake"]
    assert [attempt.provider for attempt in report.record.attempts] == ["other"]
    assert record.get(SHADOW) is None
    assert setup.pipeline.statistics.snapshot().total.calls == 1
    assert report.record.beside == "other/model"
    assert record.beside == ""


async def test_its_cost_is_its_own() -> None:
    settings = TARGET | {"prices": PRICES._table}
    setup, report = await shadowed(settings, outside=(PRICES,))
    assert setup.ends.record.cost_usd == Decimal("0.00002")
    assert report.result.cost_usd == Decimal("0.0002")
    assert report.result.call_cost_usd == Decimal("0.00002")
    assert (await setup.stage.state())["spent_usd"] == "0.000200"


async def test_latencies_are_of_the_whole_answer_or_of_the_first_chunk() -> None:
    slow = Scripted("a b c", delay_s=3, gap_s=1)
    _, unary = await shadowed(TARGET, answers=[Scripted(delay_s=1)], others=[slow])
    _, stream = await shadowed(TARGET, answers=[Scripted(delay_s=1, gap_s=5)], others=[slow], stream=True)
    assert (unary.result.call_reply_s, unary.result.reply_s) == (1, 3)
    assert (stream.result.call_reply_s, stream.result.reply_s) == (1, 3)


async def test_a_slow_shadow_delays_nothing() -> None:
    setup = Beside(TARGET, answers=[Scripted("same", delay_s=1)], others=[Scripted("same", delay_s=50)])
    await setup.ask()
    assert setup.clock.slept_s == 1
    assert (await setup.over()).result.verdict == "agreed"


async def test_a_slow_call_is_waited_for() -> None:
    _, report = await shadowed(TARGET, answers=[Scripted("same", delay_s=50)], stream=True)
    assert report.result.verdict == "agreed"


async def test_a_shadow_has_its_own_deadline_and_attempts() -> None:
    setup = Beside(TARGET | {"timeout_s": 5, "attempts": 2}, others=[Scripted(delay_s=50)])
    await setup.ask(options=CallOptions(timeout_s=1000))
    report = await setup.over()
    assert (report.result.verdict, report.result.error) == ("failed", "timeout")
    setup = Beside(TARGET | {"attempts": 2}, others=[server_error()], inside=(Retry(attempts=5),))
    await setup.ask()
    await setup.over()
    assert len(setup.other.calls) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_call_that_fails_is_not_compared_and_fails_as_it_did(stream: bool) -> None:
    setup = Beside(TARGET, answers=[server_error()])
    with pytest.raises(Exception, match="The vendor failed"):
        await setup.ask(stream=stream)
    assert (await setup.over()).result.verdict == "not_compared"


async def test_a_caller_that_goes_away_cancels_the_call_and_not_the_shadow() -> None:
    setup = Beside(TARGET, answers=[Scripted(delay_s=50)], others=[Scripted(delay_s=3)])
    task = asyncio.ensure_future(setup.ask())
    await setup.clock.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    report = await setup.over()
    assert (report.result.verdict, report.record.end) == ("not_compared", "completed")


async def test_closing_waits_for_shadows_and_then_ends_them() -> None:
    async def for_ever(call: Any, call_next: Any) -> Any:
        if call.beside:
            await asyncio.Event().wait()
        return await call_next(call)

    setup = Beside(TARGET | {"flush_s": 0.01}, inside=(for_ever,))
    await setup.ask()
    report = await setup.over()
    assert (report.result.verdict, report.result.error) == ("failed", "cancelled")
    assert (await setup.stage.state())["running"] == 0


SECRET = "sk-proj-Prompt0CANARY1prompt2prompt3prompt4prompt5"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("asked", "answered", "verdict", "found"),
    [
        ("Hi", "fine", "agreed", ()),
        ("a bad word", "fine", "would_refuse", ()),
        ("Hi", "a bad word", "would_refuse", ()),
        ("an odd word", "fine", "differed", ("request",)),
        ("Hi", "an odd word", "differed", ("text",)),
    ],
)
async def test_a_stage_is_given_the_call_and_its_answer(
    stream: bool, asked: str, answered: str, verdict: str, found: tuple[str, ...]
) -> None:
    rules = [Regex("bad", action="block", name="bad"), Regex("odd", action="redact", name="odd")]
    setup = Beside({"stage": Guardrails(rules)}, answers=[Scripted(answered)])
    reply = await setup.ask(asked, stream=stream)
    assert reply.text == answered
    report = await setup.over()
    assert (report.result.verdict, report.result.differences) == (verdict, found)
    assert len(setup.fake.calls) == 1
    assert setup.other.calls == []
    assert setup.ends.record.get(GUARDRAILS) == ()
    if verdict == "would_refuse":
        assert "blocked" in [said.verdict for said in report.record.get(GUARDRAILS)]
        assert report.result.error == "guardrail_blocked"


async def test_a_cache_beside_says_what_it_would_have_answered() -> None:
    setup = Beside({"stage": [Cache()]}, answers=[Scripted("one"), Scripted("two")])
    assert (await setup.ask()).text == "one"
    await setup.settled()
    assert (await setup.ask()).text == "two"
    await setup.pipeline.aclose()
    assert [report.result.verdict for report in setup.reports] == ["agreed", "would_answer"]
    assert setup.reports[1].result.differences == ("text",)
    assert setup.reports[1].record.facts["cache"].verdict == "hit"


async def test_a_semantic_cache_beside_says_what_it_would_have_answered() -> None:
    setup = Beside({"stage": [SemanticCache(embed, 0.8)]}, answers=[Scripted("one"), Scripted("two")])
    await setup.ask("what is the capital of Italy")
    await setup.settled()
    assert (await setup.ask("what is the capital of Italy now")).text == "two"
    await setup.pipeline.aclose()
    assert [report.result.verdict for report in setup.reports] == ["agreed", "would_answer"]


async def test_stages_may_be_tried_with_a_target() -> None:
    setup = Beside({"stage": [Guardrails(["secrets"])], "target": "other/model"})
    await setup.ask()
    assert (await setup.over()).result.verdict == "agreed"
    assert len(setup.other.calls) == 1


@pytest.mark.parametrize(
    ("said", "verdict", "found"),
    [
        (True, "agreed", ()),
        (False, "differed", ("compare",)),
        ("tone", "differed", ("tone",)),
        (["tone", "length"], "differed", ("tone", "length")),
        ([], "agreed", ()),
        (3, "not_compared", ()),
    ],
)
async def test_answers_are_compared_by_a_function_of_ones_own(said: Any, verdict: str, found: tuple[str, ...]) -> None:
    async def awaited(call: Any, shadow: Any) -> Any:
        assert (call.text, shadow.text) == ("one", "two")
        return said

    for compare in (awaited, lambda call, shadow: said):
        _, report = await shadowed(TARGET | {"compare": compare}, answers=[Scripted("one")], others=[Scripted("two")])
        assert (report.result.verdict, report.result.differences) == (verdict, found)


async def test_a_comparison_that_raises_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: Any, shadow: Any) -> bool:
        raise ValueError(call.text)

    _, report = await shadowed(TARGET | {"compare": broken})
    assert report.result.verdict == "not_compared"
    assert "ValueError" in caplog.text
    assert "same" not in caplog.text


async def test_no_more_run_at_once_than_allowed() -> None:
    setup = Beside(TARGET | {"most_in_flight": 2}, others=[Scripted(delay_s=50)])
    for _ in range(3):
        await setup.ask()
    assert [[begun.refused for begun in record.get(SHADOWS)] for record in setup.ends.records] == [
        [""],
        [""],
        ["too_many"],
    ]
    assert (await setup.stage.state())["dropped"] == {"too_many": 1}
    await setup.pipeline.aclose()
    assert len(setup.reports) == 2


async def test_their_cost_is_capped_by_reservation() -> None:
    settings = TARGET | {"prices": PRICES._table, "most_usd": 0.0013}
    setup = Beside(settings)
    for _ in range(3):
        await setup.ask(max_tokens=40)  # at most 0.0008 and the prompt; it will cost 0.0002
        await setup.settled()
    assert [begun.refused for record in setup.ends.records for begun in record.get(SHADOWS)] == ["", "", ""]
    for _ in range(2):
        await setup.ask(max_tokens=40)
    assert [begun.refused for record in setup.ends.records[3:] for begun in record.get(SHADOWS)] == [
        "money_spent",
        "money_spent",
    ]
    await setup.pipeline.aclose()


async def test_without_a_price_nothing_runs_under_a_cap() -> None:
    setup = Beside(TARGET | {"most_usd": 1})
    await setup.ask()
    await setup.pipeline.aclose()
    assert setup.other.calls == []
    assert setup.ends.record.get(SHADOWS)[0].refused == "unpriced"


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 30, 90), (1.0, 200, 200)])
async def test_a_share_of_the_calls_has_one(share: float, least: int, most: int) -> None:
    setup = Beside(TARGET | {"share": share, "most_in_flight": 1000})
    for _ in range(200):
        await setup.ask()
    await setup.pipeline.aclose()
    assert least <= len(setup.reports) <= most


async def test_only_some_operations_and_no_dry_runs() -> None:
    setup = Beside(TARGET | {"operations": ["embeddings"]})
    await setup.ask()
    other = Beside(TARGET)
    await other.pipeline.aexplain(ask())
    for each in (setup, other):
        await each.pipeline.aclose()
        assert each.reports == []


async def test_a_shadow_has_no_shadow() -> None:
    inner = Shadow("other/second", share=1)
    setup = Beside(TARGET, inside=(inner,))
    await setup.ask()
    await setup.pipeline.aclose()
    assert sorted(call.target.model for call in setup.other.calls) == ["model", "second"]


async def test_a_callers_key_does_not_go_to_another_vendor() -> None:
    setup = Beside(TARGET)
    options = CallOptions(api_key=SecretStr("k"), base_url="http://x", headers={"a": "b"}, settings={"region": "r"})
    await setup.ask(options=options)
    await setup.over()
    [sent] = setup.other.calls
    assert (sent.options.api_key, sent.options.base_url, sent.options.headers, sent.options.settings) == (
        None,
        None,
        {},
        {},
    )
    assert setup.fake.calls[0].options.api_key is not None


async def test_metrics_and_spans_are_its_own_and_linked() -> None:
    with record_telemetry() as recorded:
        setup = Beside(TARGET, answers=[Scripted("same", delay_s=2)], telemetry=recorded.telemetry)
        await setup.ask()
        report = await setup.over()
        metrics, spans = recorded.metrics, recorded.spans
    assert metrics['glassway_shadow_verdicts_total{shadow="other/model",verdict="agreed"}'] == 1
    assert metrics['glassway_shadow_reply_gap_seconds_count{shadow="other/model",slower="call"}'] == 1
    assert [value for name, value in metrics.items() if name.startswith("glassway_calls_total")] == [1]
    assert not any("other" in name for name in metrics if name.startswith(("glassway_attempts", "glassway_tokens")))
    assert_conformant(spans, metrics)
    [real] = [span for span in spans if span.name == "chat fake-model"]
    [beside] = [span for span in spans if span.name == "chat model"]
    assert beside.parent is None
    assert beside.context.trace_id != real.context.trace_id
    assert [link.context.span_id for link in beside.links] == [real.context.span_id]
    assert beside.attributes["glassway.beside"] == "other/model"
    assert report.result.of_trace_id == f"{real.context.trace_id:032x}"


async def test_the_gauge_counts_those_under_way() -> None:
    with record_telemetry() as recorded:
        setup = Beside(TARGET | {"name": "try"}, others=[Scripted(delay_s=50)], telemetry=recorded.telemetry)
        await setup.ask()
        assert recorded.metrics['glassway_shadows_running{shadow="try"}'] == 1
        await setup.over()
        assert recorded.metrics['glassway_shadows_running{shadow="try"}'] == 0


async def test_what_was_dropped_is_counted() -> None:
    with record_telemetry() as recorded:
        setup = Beside(TARGET | {"most_usd": 1}, telemetry=recorded.telemetry)
        await setup.ask()
        await setup.pipeline.aclose()
        assert recorded.metrics['glassway_shadows_dropped_total{reason="unpriced",shadow="other/model"}'] == 1


def test_it_works_in_sync_and_without_telemetry() -> None:
    reports: list[ShadowReport] = []
    shadow = Shadow("other/model", share=1, on_result=[reports.append])
    pipeline = Pipeline([shadow], providers=[FakeProvider(), FakeProvider(name="other")], telemetry=False)
    with Client(pipeline) as client:
        client.chat("fake/m", "Hi")
        list(client.chat("fake/m", "Hi", stream=True))
    assert [report.result.verdict for report in reports] == ["agreed", "agreed"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "found neither"),
        ({"target": "a/b", "share": 2}, "from 0 to 1"),
        ({"target": "a/b", "timeout_s": 0}, "timeout_s"),
        ({"target": "a/b", "window_s": -1}, "window_s"),
        ({"target": "a/b", "flush_s": -1}, "flush_s"),
        ({"target": "a/b", "attempts": 0}, "attempts"),
        ({"target": "a/b", "most_in_flight": 0}, "most_in_flight"),
        ({"target": "a/b", "most_usd": 0}, "most_usd"),
        ({"stage": Cache(), "most_usd": 1}, "expected a target too"),
        ({"stage": Cache}, "expected a stage"),
        ({"stage": [Shadow("a/b")]}, "side by side"),
        ({"target": "a/b", "operations": "chat"}, "operations"),
        ({"target": "a/b", "operations": ["chatting"]}, "operations"),
        ({"target": "a/b", "on_result": [1]}, "on_result"),
        ({"target": "a/b", "compare": 1}, "compare"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Shadow(**settings)


def test_a_configuration_names_stages() -> None:
    made = make_stage("shadow", {"stage": [{"guardrails": {"rules": ["secrets"]}}, "cache"], "share": 0.5})
    assert [type(each).__name__ for each in made.stage] == ["Guardrails", "Cache"]  # type: ignore[attr-defined]  # a Shadow
    with pytest.raises(ConfigError, match="a stage's name"):
        make_stage("shadow", {"stage": [3]})


@pytest.mark.parametrize("outer", [Cost()])
def test_it_stands_inside_what_bills(outer: Any) -> None:
    with pytest.raises(PlanError, match="Move Shadow after Cost"):
        Pipeline([Shadow("fake/x"), outer], FakeProvider())
