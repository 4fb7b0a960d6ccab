"""Where a call goes: what decides, what is said of it, and what the rest of the chain sees."""

from __future__ import annotations

from typing import Any

import pytest
from builders import Ends, ask, server_error
from routes import THREE, grouped, routed

from glassway import CallOptions, Pipeline
from glassway.middlewares import Cache, Fallback, Group, Retry, Router, RouteRule
from glassway.middlewares.router import Member, Traits
from glassway.pipeline.call import Call, Target
from glassway.pipeline.errors import (
    BadRequestError,
    ConfigError,
    ContextWindowExceededError,
    InternalServerError,
    PlanError,
    StageError,
)
from glassway.pipeline.facts import ROUTE, Considered
from glassway.testing import FakeProvider

pytestmark = pytest.mark.anyio

GROUPS = {"smart": list(THREE), "cheap": ["c/small"]}


def of(metadata: dict[str, str] | None = None, **options: Any) -> CallOptions:
    return CallOptions(metadata=metadata or {}, **options)


# -- what decides


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("telemetry", [False, None], ids=["off", "on"])
async def test_a_group_s_name_goes_to_one_of_its_targets(stream: bool, telemetry: bool | None) -> None:
    made = grouped(telemetry=telemetry)
    route = await made.send(stream=stream)
    assert route is not None
    assert (route.route, route.target, route.decided_by, route.strategy) == ("smart", "a/m", "group", "priority")
    assert route.rest == ("b/m", "c/m")
    assert route.considered == tuple(Considered(name) for name in THREE)
    assert made.reached == "a/m"
    assert made.ends.records[-1].requested == "smart"


async def test_a_call_of_nobody_s_business_passes_by_and_nothing_is_said() -> None:
    made = routed(Router())
    assert await made.send("b/m") is None
    assert made.reached == "b/m"


async def test_where_nothing_holds_the_caller_s_own_target_stands_and_that_is_said() -> None:
    made = routed(Router(rules=[RouteRule(target="a/m", tenant="x")]))
    route = await made.send("b/m")
    assert route is not None
    assert (route.decided_by, route.target, made.reached) == ("caller", "b/m", "b/m")


async def test_a_group_that_the_call_brings_is_known_without_any_setting() -> None:
    made = routed(Router())
    route = await made.send("mine", CallOptions(route=Group(["b/x", "c/y"], name="mine")))
    assert route is not None
    assert (route.route, route.target, made.reached) == ("mine", "b/x", "b/x")


@pytest.mark.parametrize(
    ("metadata", "reached"),
    [({"priority": "high"}, "b/large"), ({"tier": "free"}, "c/small"), ({"task": "code"}, "a/m"), ({}, "c/small")],
    ids=["priority", "tier", "task", "none"],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_function_routes_by_the_call_and_by_the_caller_s_own_keys(
    metadata: dict[str, str], reached: str, kind: str
) -> None:
    def pick(call: Traits) -> str | None:
        if call.priority == "high":
            return "b/large"
        if call.tier == "free":
            return "cheap"
        return "smart" if call.task == "code" else None

    async def apick(call: Traits) -> str | None:
        return pick(call)

    made = routed(Router(route=pick if kind == "sync" else apick, groups=GROUPS, default="cheap"))
    route = await made.send("auto", of(metadata))
    assert made.reached == reached
    assert route is not None
    assert route.decided_by == ("function" if metadata else "default")
    assert route.rules == ((("pick" if kind == "sync" else "apick"),) if metadata else ())


async def test_a_request_s_own_metadata_counts_and_the_call_s_wins() -> None:
    seen: list[dict[str, str]] = []
    made = routed(Router(route=lambda call: seen.append(dict(call.metadata))))
    await made.send("a/m", of({"tier": "paid"}), metadata={"tier": "free", "task": "code"})
    assert seen == [{"tier": "paid", "task": "code"}]


async def test_a_function_may_list_targets_in_their_order() -> None:
    made = routed(Router(route=lambda call: ["c/m", "a/m", "c/m"]))
    route = await made.send("auto")
    assert route is not None
    assert (route.target, route.rest, route.route) == ("c/m", ("a/m",), "function")


async def test_a_group_may_be_a_function_and_without_an_opinion_its_strategy_chooses() -> None:
    group = Group(["a/m", "b/m"], route=lambda call: "c/m" if call.user == "x" else None, name="mine")
    made = routed(Router(groups={"mine": group}))
    route = await made.send("mine", user="x")
    assert route is not None
    assert (route.target, route.decided_by, route.route) == ("c/m", "function", "mine")
    route = await made.send("mine")
    assert route is not None
    assert (route.target, route.decided_by, route.route) == ("a/m", "group", "mine")


async def test_what_a_function_raises_is_the_call_s_error() -> None:
    def broken(call: Traits) -> str:
        raise KeyError(call.model)

    with pytest.raises(KeyError):
        await routed(Router(route=broken)).send("a/m")


@pytest.mark.parametrize("answer", [3, "", [], ["a/m", 3], object()], ids=repr)
async def test_what_is_no_target_is_refused_with_the_function_s_name(answer: Any) -> None:
    def odd(call: Traits) -> Any:
        return answer

    with pytest.raises(StageError, match="'odd' returned"):
        await routed(Router(route=odd)).send("a/m")


async def test_a_function_of_a_group_without_targets_must_have_an_opinion() -> None:
    with pytest.raises(StageError, match="'mine' gave no target"):
        await routed(Router(groups={"mine": Group(route=lambda call: None, name="mine")})).send("mine")


async def test_functions_that_send_each_other_round_are_found_out() -> None:
    groups = {"x": Group(route=lambda call: "y"), "y": Group(route=lambda call: "x")}
    with pytest.raises(ConfigError, match=r"x -> y -> x .* circle"):
        await routed(Router(groups={name: group.called(name) for name, group in groups.items()})).send("x")


async def test_the_function_is_asked_before_rules_rules_before_groups_groups_before_the_default() -> None:
    rules = [RouteRule(target="b/rule", user="r")]
    router = Router(
        route=lambda call: "a/function" if call.user == "f" else None, rules=rules, groups=GROUPS, default="c/default"
    )
    made = routed(router)
    ways = [
        ((await made.send(model, user=user)) or ROUTE, made.reached)
        for model, user in (("smart", "f"), ("smart", "r"), ("smart", "x"), ("other", "x"), ("b/own", "x"))
    ]
    assert [reached for _, reached in ways] == ["a/function", "b/rule", "a/m", "c/default", "b/own"]
    assert [route.decided_by for route, _ in ways] == ["function", "rule", "group", "default", "caller"]  # type: ignore[union-attr]  # routes


async def test_a_rule_may_lead_to_a_group() -> None:
    made = routed(Router(rules=[RouteRule(target="cheap", name="free users", tenant="free-*")], groups=GROUPS))
    route = await made.send("smart", CallOptions(tenant="free-7"))
    assert route is not None
    assert (route.route, route.rules, route.decided_by, made.reached) == ("cheap", ("free users",), "rule", "c/small")


# -- what the rest of the chain sees


async def test_the_fallback_target_is_put_behind_every_route_once() -> None:
    router = Router(groups=GROUPS, rules=[RouteRule(target="b/m", user="r")], default="c/m", fallback="c/m")
    made = routed(router)
    assert [(await made.send(model, user=user)).rest for model, user in (("smart", "x"), ("q", "r"), ("q", "x"))] == [  # type: ignore[union-attr]  # routes
        ("b/m", "c/m"),
        ("c/m",),
        (),
    ]


async def test_a_stage_inside_may_go_on_with_the_rest() -> None:
    async def second(call: Call, call_next: Any) -> Any:
        try:
            return await call_next(call)
        except InternalServerError:
            route = call.get(ROUTE)
            assert route is not None
            return await call_next(call.with_target(call.resolve(route.rest[0])))

    made = routed(Router(groups=GROUPS), second, answers={"a": [server_error()]})
    await made.send()
    assert made.reached == "b/m"


async def test_without_a_fallback_the_target_s_error_is_the_call_s() -> None:
    made = grouped(answers={"a": [server_error()]})
    with pytest.raises(InternalServerError):
        await made.send()
    assert made.route is not None
    assert made.route.target == "a/m"


async def test_other_operations_are_routed_too() -> None:
    from glassway.pipeline.types import EmbeddingsRequest

    made = routed(Router(groups=GROUPS, rules=[RouteRule(target="b/m", operation="embeddings")]))
    await made.pipeline.send(EmbeddingsRequest(model="smart", input="x"))
    assert made.reached == "b/m"


# -- what is skipped


async def test_open_circuits_are_skipped_and_so_it_is_said() -> None:
    breaker = Breaker({"a/m"})
    made = routed(Router(groups=GROUPS), breaker)
    route = await made.send()
    assert route is not None
    assert (route.target, route.rest, route.least_bad) == ("b/m", ("c/m",), False)
    assert route.considered[0] == Considered("a/m", "circuit_open")


async def test_where_every_circuit_is_open_the_best_is_tried_all_the_same() -> None:
    made = routed(Router(groups=GROUPS), Breaker(set(THREE)))
    route = await made.send()
    assert route is not None
    assert (route.target, route.least_bad) == ("a/m", True)
    assert {one.skipped for one in route.considered} == {"circuit_open"}


PICTURE = [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]
TOOL = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("lacks", "fields"),
    [
        ("vision", {"messages": ({"role": "user", "content": PICTURE},)}),
        ("tools", {"tools": TOOL}),
        ("streaming", {"stream": True}),
    ],
    ids=["vision", "tools", "streaming"],
)
async def test_a_target_that_lacks_what_the_call_needs_is_skipped(lacks: str, fields: dict[str, Any]) -> None:
    from glassway.pipeline.types import ChatRequest

    made = grouped(targets=[{"target": "a/m", lacks: False}, {"target": "b/m", lacks: True}, "c/m"])
    asked = ChatRequest.model_validate({"model": "smart", "messages": [{"role": "user", "content": "Hi"}], **fields})
    reply = await made.pipeline.send(asked)
    if asked.stream:
        await reply.response()  # type: ignore[union-attr]  # a stream
    assert made.route is not None
    assert (made.route.target, made.route.considered[0].skipped) == ("b/m", lacks)
    await made.send()
    assert made.reached == "a/m"  # a call that needs nothing of it


async def test_a_context_window_that_is_too_small_for_prompt_and_output_is_skipped() -> None:
    made = grouped(targets=[Member("a/m", context_tokens=1_000), Member("b/m", context_tokens=10_000), "c/m"])
    for text, limit, reached in (("hi", 100, "a/m"), ("hi", 999, "b/m"), ("word " * 3_000, None, "b/m")):
        await made.send(text=text, max_tokens=limit)
        assert made.reached == reached
    assert made.route is not None
    assert made.route.considered[0].skipped == "context"
    assert "1000 fit" in made.route.considered[0].detail


async def test_context_windows_of_known_models_are_known() -> None:
    providers = [FakeProvider(name="openai"), FakeProvider(name="anthropic")]
    ends = Ends()
    groups = {"smart": ["openai/gpt-3.5-turbo", "anthropic/claude-sonnet-4-5"]}
    pipeline = Pipeline([ends, Router(groups=groups)], providers=providers, telemetry=False)
    await pipeline.send(ask("short", model="smart"))
    await pipeline.send(ask("word " * 20_000, model="smart"))
    assert [record.provider for record in ends.records] == ["openai", "anthropic"]


@pytest.mark.parametrize(
    ("targets", "fields", "error"),
    [
        ([Member("a/m", context_tokens=10)], {"max_tokens": 50}, ContextWindowExceededError),
        ([Member("a/m", streaming=False)], {"stream": True}, BadRequestError),
        ([Member("a/m", context_tokens=10), Member("b/m", streaming=False)], {"stream": True, "max_tokens": 50}, BadRequestError),
    ],
    ids=["context", "streaming", "both"],
)  # fmt: skip
async def test_a_call_that_no_target_can_take_is_refused_with_the_reasons(
    targets: list[Member], fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"No target of 'smart' can take this call \(a/m: skipped"):
        await grouped(targets=targets).send(**fields)


# -- seen without sending


async def test_a_dry_run_shows_the_decision_and_changes_nothing() -> None:
    made = grouped("round_robin")
    for _ in range(3):
        run = await made.pipeline.aexplain(ask(model="smart"))
        assert run.target == "a/m"
        assert run.facts["route"].route == "smart"
        assert "smart" in str(run)
    assert (await made.sends(3)) == {"a/m": 1, "b/m": 1, "c/m": 1}


# -- its place


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([Fallback(["b/m"]), Router()], "Move Router before Fallback"),
        ([type("CircuitBreaker", (), {"__call__": lambda *_: None})(), Router()], "Move Router before CircuitBreaker"),
    ],
    ids=["fallback", "breaker"],
)
def test_an_order_that_cannot_work_is_refused(stages: list[Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        Pipeline(stages, FakeProvider())


def test_an_order_that_could_be_better_gets_advice() -> None:
    advice = Pipeline([Retry(), Router(), Cache()], FakeProvider()).explain().advice
    assert [line.split(":")[0] for line in advice if "Router" in line] == [
        "Move Router before Retry in the list",
        "Move Router after Cache in the list",
    ]


class Breaker:
    """A stage that knows of open circuits."""

    def __init__(self, broken: set[str]) -> None:
        self.broken = broken

    def circuit_open(self, call: Call, target: Target) -> bool:
        return str(target) in self.broken

    async def __call__(self, call: Call, call_next: Any) -> Any:
        return await call_next(call)


# -- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"route": "a/m"}, "Router.route: expected a function"),
        ({"default": ""}, "Router.default: expected 'vendor/model'"),
        ({"fallback": 3}, "Router.fallback"),
        ({"rules": {"target": "x"}}, "Router.rules: expected a list"),
        ({"rules": ["x"]}, r"Router.rules\[0\]: expected a RouteRule"),
        ({"rules": [{"target": "x", "modle": "y"}]}, r"Router.rules\[0\].modle: unknown key"),
        ({"groups": ["x"]}, "Router.groups: expected a mapping"),
        ({"groups": {"g": []}}, "Router.groups.g: targets: expected at least one"),
        ({"groups": {"g": ["g", "x"]}}, r"Router.groups.g.targets\[0\]: 'g' is a group itself, this one"),
        ({"groups": {"g": ["h"], "h": ["x"]}}, r"Router.groups.g.targets\[0\]: 'h' is a group itself\."),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_path(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Router(**settings)
