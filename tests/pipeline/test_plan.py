"""The order of stages: what is refused, what is advised, and how a pipeline shows itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from builders import stage
from pydantic import SecretStr
from syrupy.assertion import SnapshotAssertion

from glassway import Pipeline
from glassway.middlewares import Callbacks, Fallback, Retry, Timeout
from glassway.pipeline.errors import ConfigError, PlanError
from glassway.pipeline.plan import Rule, settings_of
from glassway.testing import FakeProvider


async def passing(call: Any, call_next: Any) -> Any:
    return await call_next(call)


def named(name: str, **rule: Any) -> Any:
    """A stage of that name with a rule."""

    async def passes(call: Any, call_next: Any) -> Any:
        return await call_next(call)

    passes.rule = Rule(**rule)  # type: ignore[attr-defined]
    return stage(passes, name)


def planned(*stages: Any) -> Pipeline:
    return Pipeline(stages, FakeProvider(), telemetry=False)


def test_a_stage_that_must_stand_outside_another_is_told_where_to_move() -> None:
    with pytest.raises(
        PlanError, match=r"^Move Bill before Keep in the list: it must see hits\. Found the opposite order\.$"
    ):
        planned(named("Keep"), named("Bill", outside={"Keep": "it must see hits"}))


def test_a_stage_that_must_stand_inside_another_is_told_where_to_move() -> None:
    with pytest.raises(
        PlanError, match=r"^Move Bill after Trace in the list: it needs a span\. Found the opposite order\.$"
    ):
        planned(named("Bill", inside={"Trace": "it needs a span"}), named("Other"), named("Trace"))


def test_retry_outside_fallback_is_refused() -> None:
    with pytest.raises(PlanError, match=r"Move Fallback before Retry"):
        planned(Retry(), Fallback(["fake/b"]))


def test_the_right_order_says_nothing() -> None:
    bill = named("Bill", outside={"Keep": "x"}, inside={"Trace": "y"}, better_outside={"Keep": "z"})
    assert planned(named("Trace"), bill, named("Keep")).explain().advice == ()


def test_a_rule_about_a_stage_that_is_not_there_says_nothing() -> None:
    assert planned(named("Bill", outside={"Keep": "x"}, better_inside={"Trace": "y"})).explain().advice == ()


def test_an_order_that_could_be_better_is_advised_both_ways() -> None:
    plan = planned(
        named("Keep"),
        named("Tell", better_outside={"Keep": "it misses hits"}, better_inside={"Trace": "it has no span"}),
        named("Trace"),
    ).explain()
    assert plan.advice == (
        "Move Tell before Keep in the list: it misses hits.",
        "Move Tell after Trace in the list: it has no span.",
    )


def test_a_need_that_nobody_meets_is_refused() -> None:
    with pytest.raises(PlanError, match=r"Judge needs the fact 'cost', which no stage of this pipeline writes"):
        planned(named("Judge", needs=("cost",)))


@pytest.mark.parametrize("need", ["cost", "attempts", "translation"])
def test_a_need_may_be_met_by_any_stage_or_by_the_provider(need: str) -> None:
    planned(named("Judge", needs=(need,)), named("Bill", provides=("cost",)))


def test_a_rule_that_is_no_rule_is_ignored() -> None:
    odd = named("Odd")
    odd.rule = "outermost"
    assert planned(odd).explain().stages[0].rule == Rule()


def test_stages_of_one_kind_are_numbered() -> None:
    assert list(planned(Retry(), passing, Retry(), passing, Retry()).stages) == [
        "Retry",
        "passing",
        "Retry#2",
        "passing#2",
        "Retry#3",
    ]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("retry", "found str"),
        (None, "found NoneType"),
        (Retry, r"found the class Retry. Make one of it: Retry\(\.\.\.\)"),
    ],
    ids=["text", "nothing", "a class"],
)
def test_what_is_no_stage_is_refused_when_the_pipeline_is_made(part: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Pipeline([part], FakeProvider(), telemetry=False)


@pytest.mark.parametrize("part", ["openai", FakeProvider], ids=["text", "a class"])
def test_what_is_no_provider_is_refused_when_the_pipeline_is_made(part: Any) -> None:
    with pytest.raises(PlanError, match="A provider is an async function of the call"):
        Pipeline([], part, telemetry=False)


def test_two_providers_of_one_name_are_refused() -> None:
    with pytest.raises(PlanError, match=r"Two providers are called 'fake'.*name='fake-2'"):
        Pipeline([], providers=[FakeProvider(), FakeProvider()], telemetry=False)


@pytest.mark.parametrize(
    "settings",
    [{"attempts": 0}, {"timeout_s": 0}, {"timeout_s": -1.0}, {"timeout_s": float("inf")}, {"timeout_s": float("nan")}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Pipeline([], FakeProvider(), telemetry=False, **settings)


def a_stack() -> Pipeline:
    keep = named(
        "Keep",
        may_short_circuit=True,
        holds_chunks=True,
        needs=("attempts",),
        provides=("cache",),
        better_outside={"Retry": "hits need no tries"},
    )
    stages = [
        Callbacks(on_success=[print], on_failure=[passing]),
        Timeout(total_s=30),
        Fallback(["second/b", "fake/c"]),
        Retry(attempts=5),
        keep,
    ]
    return Pipeline(stages, providers=[FakeProvider(), FakeProvider(name="second")], telemetry=False)


def test_a_plan_as_text(snapshot: SnapshotAssertion) -> None:
    assert str(a_stack().explain()) == snapshot


def test_a_plan_as_mermaid(snapshot: SnapshotAssertion) -> None:
    assert a_stack().explain().to_mermaid() == snapshot


def test_a_plan_as_data(snapshot: SnapshotAssertion) -> None:
    assert a_stack().explain().to_dict() == snapshot


def test_an_empty_pipeline_shows_itself_too() -> None:
    pipeline = Pipeline([], telemetry=False)
    assert str(pipeline.explain()) == "caller\n  ▼  no provider"
    assert pipeline.explain().to_mermaid() == "flowchart LR\n    s0[caller] --> s1\n    s1[(no provider)]"
    assert repr(pipeline) == "Pipeline(no provider)"
    assert repr(a_stack()) == "Pipeline(Callbacks -> Timeout -> Fallback -> Retry -> Keep -> fake | second)"


@dataclass(frozen=True)
class Configured:
    rule: ClassVar[Rule] = Rule()
    plain: int = 1
    listed: list[str] = field(default_factory=list)
    secret: str = field(default="", repr=False)
    key: SecretStr | None = None
    long: str = ""
    made: int = field(default=0, init=False)


def test_only_settings_that_differ_are_shown_and_no_secret() -> None:
    assert settings_of(Configured()) == {}
    shown = settings_of(Configured(plain=2, listed=["a"], secret="sk-1", key=SecretStr("sk-2"), long="x" * 100))
    assert list(shown) == ["plain", "listed", "key", "long"]
    assert "sk-" not in str(shown)
    assert len(shown["long"]) == 60
    assert settings_of(passing) == {}
