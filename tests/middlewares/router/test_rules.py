"""Rules: what each condition means, which of several holds, and which can never."""

from __future__ import annotations

from typing import Any

import pytest
from builders import ask
from hypothesis import given
from hypothesis import strategies as st
from routes import routed

from glassway import CallOptions
from glassway.middlewares import Router, RouteRule
from glassway.middlewares.router.traits import Traits
from glassway.pipeline.call import Call
from glassway.pipeline.errors import ConfigError
from glassway.pipeline.patterns import covers, matcher
from glassway.pipeline.types import ChatRequest, EmbeddingsRequest, Request


def traits(request: Request | None = None, options: CallOptions | None = None, **fields: Any) -> Traits:
    return Traits(Call.start(request or ask(**fields), options=options or CallOptions()))


def rich(**fields: Any) -> Traits:
    return traits(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}))


TENANT = CallOptions(tenant="acme", tags=("night", "batch"), metadata={"tier": "gold"})
PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]}

CASES: list[tuple[dict[str, Any], Traits, Traits]] = [
    ({"model": "gpt-*"}, traits(model="gpt-4o"), traits(model="claude")),
    ({"model": "gpt-*"}, traits(model="openai/gpt-4o"), traits(model="openai/o3")),
    ({"model": "openai/*"}, traits(model="openai/gpt-4o"), traits(model="gpt-4o")),
    ({"model": "re:^o[0-9]"}, traits(model="openai/o3"), traits(model="gpt-4o3")),
    ({"model": ["x", "y*"]}, traits(model="yes"), traits(model="xs")),
    ({"operation": "embeddings"}, traits(EmbeddingsRequest(model="m", input="x")), traits()),
    ({"tenant": "ac*"}, traits(options=TENANT), traits()),
    ({"user": "u1"}, traits(user="u1"), traits()),
    ({"tags": ["night"]}, traits(options=TENANT), traits(options=CallOptions(tags=("batch",)))),
    ({"metadata": {"tier": ["gold", "silver"]}}, traits(options=TENANT), traits()),
    ({"max_tokens_above": 10}, traits(max_tokens=11), traits(max_tokens=10)),
    ({"max_tokens_below": 10}, traits(max_completion_tokens=9), traits()),
    ({"temperature_above": 0.5}, traits(temperature=0.6), traits(temperature=0.5)),
    ({"temperature_below": 0.5}, traits(temperature=0), traits()),
    ({"messages_above": 1}, rich(messages=[{"role": "user", "content": "a"}] * 2), traits()),
    ({"messages_below": 2}, traits(), rich(messages=[{"role": "user", "content": "a"}] * 2)),
    ({"prompt_tokens_above": 100}, traits(text="word " * 200), traits()),
    ({"prompt_tokens_below": 100}, traits(), traits(text="word " * 200)),
    ({"stream": True}, traits(stream=True), traits()),
    ({"stream": False}, traits(), traits(stream=True)),
    ({"has_tools": True}, rich(tools=[{"type": "function", "function": {"name": "f"}}]), traits()),
    ({"has_images": True}, rich(messages=[PICTURE]), traits()),
    ({"tenant": "acme", "stream": True}, traits(options=TENANT, stream=True), traits(options=TENANT)),
]


@pytest.mark.parametrize(("conditions", "holds", "not_so"), CASES, ids=lambda value: str(value)[:40])
def test_a_condition_holds_for_what_it_says_and_for_nothing_else(
    conditions: dict[str, Any], holds: Traits, not_so: Traits
) -> None:
    rule = RouteRule(target="t", **conditions)
    assert rule.holds(holds)
    assert not rule.holds(not_so)
    assert RouteRule(target="t").holds(not_so)


@pytest.mark.anyio
async def test_the_highest_priority_is_asked_first_then_the_order_of_the_list_and_the_switched_off_never() -> None:
    rules = [
        RouteRule(target="a/first", model="x*"),
        RouteRule(target="a/second", stream=False),
        RouteRule(target="b/high", user="vip", priority=10),
        RouteRule(target="c/off", priority=99, enabled=False),
    ]
    made = routed(Router(rules=rules))
    ways = []
    for model, user in (("xy", "vip"), ("xy", "u"), ("q", "u")):
        await made.send(model, user=user)
        ways.append(made.reached)
    assert ways == ["b/high", "a/first", "a/second"]


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"max_tokens_above": 10, "max_tokens_below": 10}, "nothing has max_tokens above 10 and below 10"),
        ({"messages_above": 3, "messages_below": 4}, "nothing has messages"),
        ({"temperature_above": 1.0, "temperature_below": 0.5}, "nothing has temperature"),
        ({"operation": "embeddings", "has_tools": True}, "only chat has it"),
        ({"operation": "rerank", "messages_above": 2}, "only chat has it"),
    ],
)
def test_conditions_that_contradict_each_other_are_refused(conditions: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RouteRule(target="t", **conditions)
    RouteRule(target="t", temperature_above=0.5, temperature_below=0.6)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"target": ""}, "RouteRule.target: expected"),
        ({"tags": "night"}, "RouteRule.tags: expected a list"),
        ({"model": []}, "RouteRule.model: expected a pattern"),
        ({"model": "re:("}, r"RouteRule.model: 're:\(' is no regular expression"),
        ({"tenant": [3]}, "RouteRule.tenant: expected a pattern"),
        ({"metadata": {"tier": ""}}, "RouteRule.metadata.tier: expected a pattern"),
    ],
)
def test_conditions_that_are_none_are_refused(conditions: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RouteRule(**{"target": "t", **conditions})


SHADOWED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"model": "x"}),
    ({"model": "gpt-*"}, {"model": "gpt-4*", "stream": True}),
    ({"model": ["a", "b*"]}, {"model": ["bc", "a"]}),
    ({"model": "re:^gpt"}, {"model": "gpt-4o"}),
    ({"max_tokens_above": 10}, {"max_tokens_above": 20}),
    ({"temperature_below": 1.0}, {"temperature_below": 0.5, "temperature_above": 0.1}),
    ({"tags": ["a"]}, {"tags": ["a", "b"]}),
    ({"metadata": {"tier": "g*"}}, {"metadata": {"tier": "gold", "x": "y"}}),
    ({"stream": True}, {"stream": True, "user": "u"}),
]
FREE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"model": "gpt-4*"}, {"model": "gpt-*"}),
    ({"model": "gpt-4*"}, {}),
    ({"model": "*-mini"}, {"model": "gpt-*"}),
    ({"model": "re:^gpt-4"}, {"model": "gpt-4*"}),
    ({"max_tokens_above": 20}, {"max_tokens_above": 10}),
    ({"max_tokens_above": 20}, {}),
    ({"tags": ["a", "b"]}, {"tags": ["a"]}),
    ({"metadata": {"tier": "gold"}}, {"metadata": {"task": "gold"}}),
    ({"stream": True}, {"stream": False}),
]


@pytest.mark.parametrize(("earlier", "later"), SHADOWED, ids=str)
def test_a_rule_that_an_earlier_one_leaves_nothing_is_refused_with_both_names(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    rules = [RouteRule(target="x", name="broad", **earlier), RouteRule(target="y", **later)]
    with pytest.raises(ConfigError, match=r"Router.rules\[1\]: never reached: .* rules\[0\] \('broad'\)"):
        Router(rules=rules)
    Router(rules=[rules[0], RouteRule(target="y", priority=1, **later)])
    Router(rules=[RouteRule(target="x", enabled=False, **earlier), rules[1]])


@pytest.mark.parametrize(("earlier", "later"), FREE, ids=str)
def test_a_rule_that_may_still_match_is_no_offence(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    Router(rules=[RouteRule(target="x", **earlier), RouteRule(target="y", **later)])


PATTERN = st.text("ab*?[]", min_size=1, max_size=4) | st.sampled_from(["re:^a", "re:b$", "re:ab"])


@given(
    st.lists(PATTERN, min_size=1, max_size=2), st.lists(PATTERN, min_size=1, max_size=2), st.text("ab[]", max_size=5)
)
def test_what_is_said_to_be_covered_is(outer: list[str], inner: list[str], text: str) -> None:
    if covers(outer, inner) and matcher(inner)(text):
        assert matcher(outer)(text)
