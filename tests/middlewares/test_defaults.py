"""Defaults: what is filled in, forced and capped, for whom, and what the record says of it."""

from __future__ import annotations

from typing import Any

import pytest
from builders import Setup, ask, make

from glassway import CallOptions, Client, Message, Pipeline
from glassway.middlewares import Cache, Defaults, DefaultsRule, Guardrails
from glassway.pipeline.errors import ConfigError, PlanError
from glassway.pipeline.facts import DEFAULTS
from glassway.pipeline.stagenames import make_stage
from glassway.pipeline.types import EmbeddingsRequest
from glassway.testing import FakeProvider
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio


def sent(setup: Setup) -> Any:
    """The request that reached the vendor."""
    return setup.provider.calls[-1].request


def said(setup: Setup) -> list[tuple[str, str, str]]:
    return [tuple(applied) for applied in setup.record.get(DEFAULTS)]


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_what_was_not_said_is_filled_in(stream: bool) -> None:
    setup = make([Defaults(set={"temperature": 0.3, "stop": ["END"], "user": "team", "top_p": 0.5})])
    await setup.answer(stream=stream, top_p=1.0)
    request = sent(setup)
    assert (request.temperature, request.stop, request.user, request.top_p) == (0.3, ("END",), "team", 1.0)
    assert said(setup) == [(name, "set", "own") for name in ("temperature", "stop", "user")]


async def test_an_explicit_zero_is_said() -> None:
    setup = make([Defaults(set={"temperature": 0.3})])
    await setup.answer(temperature=0.0)
    assert sent(setup).temperature == 0.0
    assert said(setup) == []


async def test_what_is_forced_replaces_what_was_said() -> None:
    setup = make([Defaults(force={"user": "team", "temperature": 0})])
    await setup.answer(user="me", temperature=0)
    assert sent(setup).user == "team"
    assert said(setup) == [("user", "forced", "own")]


@pytest.mark.parametrize(
    ("fields", "limits", "actions"),
    [
        ({"max_tokens": 5000}, (1000, None), [("max_tokens", "capped", "own")]),
        ({"max_completion_tokens": 5000}, (None, 1000), [("max_completion_tokens", "capped", "own")]),
        ({"max_tokens": 10}, (10, None), []),
        ({}, (1000, None), [("max_tokens", "capped", "own")]),
    ],
)
async def test_the_output_is_capped_under_either_name_and_without_any(
    fields: dict[str, int], limits: tuple[Any, Any], actions: list[Any]
) -> None:
    setup = make([Defaults(max={"max_tokens": 1000})])
    await setup.answer(**fields)
    assert (sent(setup).max_tokens, sent(setup).max_completion_tokens) == limits
    assert said(setup) == actions


async def test_either_name_of_the_output_limit_is_an_answer_to_a_default_for_the_other() -> None:
    setup = make([Defaults(set={"max_tokens": 100})])
    await setup.answer(max_completion_tokens=7)
    assert (sent(setup).max_tokens, sent(setup).max_completion_tokens) == (None, 7)


async def test_two_rules_that_name_the_output_limit_differently_say_it_once() -> None:
    rules = [{"set": {"max_tokens": 7}}, {"set": {"max_completion_tokens": 9}}]
    setup = make([Defaults(rules=rules)])
    await setup.answer()
    assert (sent(setup).max_tokens, sent(setup).max_completion_tokens) == (7, None)


async def test_a_forced_output_limit_is_the_only_one() -> None:
    setup = make([Defaults(force={"max_tokens": 100})])
    await setup.answer(max_completion_tokens=7)
    assert (sent(setup).max_tokens, sent(setup).max_completion_tokens) == (100, None)


async def test_other_caps_leave_alone_what_was_not_said() -> None:
    setup = make([Defaults(max={"temperature": 1, "n": 2})])
    await setup.answer(temperature=1.7)
    assert (sent(setup).temperature, sent(setup).n) == (1, None)


async def test_metadata_is_joined_key_by_key() -> None:
    setup = make([Defaults(set={"metadata": {"a": "ours", "b": "ours"}}, force={"metadata": {"c": "ours"}})])
    await setup.answer(metadata={"a": "mine", "c": "mine"})
    assert sent(setup).metadata == {"a": "mine", "b": "ours", "c": "ours"}


@pytest.mark.parametrize(
    ("heads", "settings", "expected"),
    [
        ([], {"system": "S"}, ["S"]),
        (["mine"], {"system": "S"}, ["mine"]),
        ([], {"system_prefix": "P"}, ["P"]),
        ([], {"system_prefix": "P", "system_suffix": "Z"}, ["P\n\nZ"]),
        (["mine"], {"system_prefix": "P", "system_suffix": "Z"}, ["P\n\nmine\n\nZ"]),
        (["one", "two"], {"system_prefix": "P", "system_suffix": "Z"}, ["P\n\none", "two\n\nZ"]),
        ([], {"system": "S", "system_prefix": "P"}, ["P\n\nS"]),
    ],
)
async def test_the_system_prompt_has_a_default_a_prefix_and_a_suffix(
    heads: list[str], settings: dict[str, str], expected: list[str]
) -> None:
    setup = make([Defaults(**settings)])
    own = [Message(role="system", content=text) for text in heads]
    await setup.pipeline.send(ask().but(messages=(*own, Message(role="user", content="Hi"))))
    *before, last = sent(setup).messages
    assert [each.content for each in before] == expected
    assert last.content == "Hi"


async def test_a_system_prompt_in_parts_gets_another_part() -> None:
    setup = make([Defaults(system_prefix="P")])
    own = Message.model_validate({"role": "developer", "content": [{"type": "text", "text": "mine"}]})
    await setup.pipeline.send(ask().but(messages=(own, Message(role="user", content="Hi"))))
    assert [part.text for part in sent(setup).messages[0].content] == ["P", "mine"]


RULES = [
    DefaultsRule({"temperature": 0.1}, name="o3", model="o3*"),
    DefaultsRule({"temperature": 0.2, "top_p": 0.2}, name="acme", tenant=["acme", "re:^big-"]),
    {"set": {"temperature": 0.3}, "max": {"max_tokens": 50}, "tags": ["batch", "cheap"]},
]


@pytest.mark.parametrize(
    ("model", "tenant", "tags", "expected"),
    [
        ("o3-mini", None, (), (0.1, None, 500)),
        ("fake/o3-mini", "acme", (), (0.1, 0.2, 500)),
        ("x", "big-one", (), (0.2, 0.2, 500)),
        ("x", "small", ("cheap",), (0.9, None, 500)),
        ("x", "small", ("cheap", "batch", "other"), (0.3, None, 50)),
    ],
)
async def test_rules_hold_in_order_and_the_stages_own_values_come_last(
    model: str, tenant: str | None, tags: tuple[str, ...], expected: tuple[Any, ...]
) -> None:
    setup = make([Defaults(set={"temperature": 0.9}, max={"max_tokens": 500}, rules=RULES)])
    await setup.answer(CallOptions(tenant=tenant, tags=tags), model=model)
    request = sent(setup)
    assert (request.temperature, request.top_p, request.max_tokens) == expected


async def test_the_fact_names_the_rule() -> None:
    setup = make([Defaults(rules=RULES)])
    await setup.answer(CallOptions(tenant="acme", tags=("batch", "cheap")))
    assert said(setup) == [
        ("temperature", "set", "acme"),
        ("top_p", "set", "acme"),
        ("max_tokens", "capped", "rules[2]"),
    ]


async def test_a_value_is_for_the_operations_that_have_the_field() -> None:
    provider = FakeProvider()
    pipeline = Pipeline([Defaults(set={"temperature": 0, "user": "team"}, system="S")], provider)
    await pipeline.send(EmbeddingsRequest(model="m", input="Hi"))
    assert provider.calls[0].request.to_dict() == {"model": "m", "input": "Hi", "user": "team"}


async def test_a_rule_may_be_for_some_operations() -> None:
    setup = make([Defaults(rules=[DefaultsRule({"user": "x"}, operation="embeddings")])])
    await setup.answer()
    assert sent(setup).user is None


async def test_a_request_that_has_everything_is_the_same_object() -> None:
    setup = make([Defaults(set={"temperature": 0}, max={"max_tokens": 9})])
    request = ask(temperature=1.0, max_tokens=3)
    await setup.pipeline.send(request)
    assert sent(setup) is request


def test_it_works_without_telemetry_and_in_sync() -> None:
    provider = FakeProvider()
    with Client(Pipeline([Defaults(set={"temperature": 0})], provider, telemetry=False)) as client:
        client.chat("fake-model", "Hi")
        list(client.chat("fake-model", "Hi", stream=True))
    assert [call.request.temperature for call in provider.calls] == [0, 0]


async def test_a_dry_run_shows_the_completed_request() -> None:
    setup = make([Defaults(set={"temperature": 0})])
    assert [tuple(each) for each in (await setup.pipeline.aexplain(ask())).facts["defaults"]] == [
        ("temperature", "set", "own")
    ]


async def test_fields_are_counted() -> None:
    with record_telemetry() as recorded:
        setup = make([Defaults(set={"temperature": 0}, max={"max_tokens": 9})], telemetry=recorded.telemetry)
        await setup.answer()
        assert recorded.metrics['glassway_defaults_applied_total{action="set",field="temperature"}'] == 1
        assert recorded.metrics['glassway_defaults_applied_total{action="capped",field="max_tokens"}'] == 1
        assert_conformant(recorded.spans, recorded.metrics)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "found nothing"),
        ({"set": {"temprature": 0}}, "Did you mean temperature"),
        ({"set": {"model": "x"}}, "not for defaults"),
        ({"force": {"stream": True}}, "not for defaults"),
        ({"set": {"messages": []}}, "what the caller asks"),
        ({"set": {"temperature": "warm"}}, "no request takes str"),
        ({"set": {"temperature": None}}, "Leave the field out"),
        ({"set": ["temperature"]}, "expected fields"),
        ({"max": {"user": "x"}}, "expected a number"),
        ({"max": {"max_tokens": 0}}, "at least 1 token"),
        ({"set": {"max_tokens": 9}, "max": {"max_tokens": 5}}, "its own cap"),
        ({"system": ""}, "expected text"),
        ({"rules": "x"}, "a list of rules"),
        ({"rules": [1]}, "expected a rule"),
        ({"rules": [{"tenant": "x"}]}, "found nothing"),
        ({"rules": [{"sets": {}}]}, "unknown key 'sets'"),
        ({"rules": [{"set": {"n": 1}, "operation": "chatting"}]}, "can never match"),
        ({"rules": [{"set": {"n": 1}, "model": "re:("}]}, "no regular expression"),
        ({"rules": [{"set": {"n": 1}, "tags": "x"}]}, "a list of tags"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        Defaults(**settings)


def test_a_configuration_spells_it_the_same() -> None:
    stage = make_stage("defaults", {"set": {"temperature": 0.2}, "rules": [{"tenant": "a", "max": {"max_tokens": 4}}]})
    assert stage == Defaults(set={"temperature": 0.2}, rules=[DefaultsRule(tenant="a", max={"max_tokens": 4})])


def test_it_stands_outside_the_cache_and_better_inside_guardrails() -> None:
    stage = Defaults(set={"n": 1})
    with pytest.raises(PlanError, match="Move Defaults before Cache"):
        Pipeline([Cache(), stage], FakeProvider())
    advice = Pipeline([stage, Guardrails(["secrets"])], FakeProvider()).explain().advice
    assert any("Move Defaults after Guardrails" in line for line in advice)
