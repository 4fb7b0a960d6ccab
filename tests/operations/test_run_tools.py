"""Functions as tools: what the model is told of them, and the loop that runs them until it answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from opentelemetry import trace
from pydantic import BaseModel, Field

from glassway.middlewares import Cost, Tracing
from glassway.pipeline.call import Call
from glassway.pipeline.client import Client
from glassway.pipeline.errors import ConfigError, ResponseValidationError
from glassway.pipeline.facts import TOOLS
from glassway.pipeline.functions import function_tool
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.portal import run_sync
from glassway.pipeline.telemetry import Keep, Telemetry
from glassway.pipeline.types import ChatRequest, ChatResponse, Choice, FunctionCall, Message, ToolCall, Usage
from glassway.testing.telemetry import RecordedTelemetry, assert_conformant, record_telemetry

Ask = Callable[..., Any]


@dataclass
class Scripted:
    """A model that asks for these calls, round by round, and then says `done`."""

    rounds: list[list[tuple[str, str]]]
    name: str = "scripted"
    seen: list[ChatRequest] = field(default_factory=list)

    async def __call__(self, call: Call) -> ChatResponse:
        assert isinstance(call.request, ChatRequest)
        self.seen.append(call.request)
        wanted = self.rounds.pop(0) if self.rounds else []
        calls = tuple(
            ToolCall(id=f"call_{place}", function=FunctionCall(name=name, arguments=arguments))
            for place, (name, arguments) in enumerate(wanted)
        )
        message = Message(role="assistant", content=None if calls else "done", tool_calls=calls or None)
        finish: Any = "tool_calls" if calls else "stop"
        usage = Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
        return ChatResponse(model="m", choices=(Choice(message=message, finish_reason=finish),), usage=usage)

    @property
    def results(self) -> list[str]:
        """What the tools' messages of the last request say."""
        return [message.text for message in self.seen[-1].messages if message.role == "tool"]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Ask:
    def go(model: Scripted, tools: Any, *stages: Any, telemetry: Telemetry | bool = False, **kwargs: Any) -> Any:
        client = Client(Pipeline(stages, model, telemetry=telemetry))
        if request.param == "async":
            return run_sync(lambda: client.arun_tools("scripted/m", "Go.", tools, **kwargs))
        return client.run_tools("scripted/m", "Go.", tools, **kwargs)

    return go


def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


async def later(text: str) -> str:
    """Says it later."""
    await asyncio.sleep(0)
    return f"later: {text}"


def fail() -> None:
    """Fails."""
    raise RuntimeError("the pump is broken")


# -- what the model is told


class Colour(Enum):
    RED = "red"


class Place(BaseModel):
    title: str


def test_a_signature_is_a_schema() -> None:
    def paint(
        place: Place,
        colour: Colour,
        how: Literal["fast", "slow"],
        times: Annotated[int, Field(ge=1, description="How often.")] = 1,
    ) -> None:
        """Paints a place.

        In one colour.
        """

    tool = function_tool(paint)
    schema = dict(tool.schema)
    assert (tool.name, tool.description) == ("paint", "Paints a place.\n\nIn one colour.")
    assert schema["required"] == ["place", "colour", "how"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["times"] == {"type": "integer", "minimum": 1, "description": "How often."}
    assert schema["properties"]["how"] == {"type": "string", "enum": ["fast", "slow"]}
    assert schema["$defs"]["Place"]["properties"] == {"title": {"type": "string"}}


def test_arguments_become_what_the_hints_say() -> None:
    def paint(place: Place, times: int = 3) -> str:
        return f"{place.title} {times}"

    tool = function_tool(paint)
    assert asyncio.run(tool.run(tool.read('{"place": {"title": "hall"}}'))) == "hall 3"


def test_a_method_and_an_object_are_functions_too() -> None:
    class Shop:
        def price(self, item: str) -> float:
            """What it costs."""
            return 1.5

        async def __call__(self, item: str) -> str:
            return item

    assert function_tool(Shop().price).name == "price"
    tool = function_tool(Shop(), "shop")
    assert asyncio.run(tool.run({"item": "x"})) == "x"
    assert list(tool.schema["properties"]) == ["item"]


def test_names_that_models_of_data_have_are_names_like_others() -> None:
    def write(copy: str, json: str, schema: int, title: str) -> None: ...

    assert list(function_tool(write).schema["properties"]) == ["copy", "json", "schema", "title"]


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ([], "found none"),
        ([add, add], "two of one"),
        ([3], "found int"),
        ([lambda *args: None], "with names"),
        ([print], "with names"),
    ],
)
def test_what_is_no_tool(run: Ask, tools: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run(Scripted([]), tools)


# -- the loop


def test_results_go_back_until_there_is_an_answer(run: Ask) -> None:
    model = Scripted([[("add", '{"a": 1, "b": 2}')], [("later", '{"text": "x"}')]])
    done = run(model, {add, later})
    assert done.text == "done"
    assert model.results == ["3", "later: x"]
    assert [message.role for message in done.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [(ran.name, ran.round, ran.outcome) for ran in done.executions] == [
        ("add", 1, "returned"),
        ("later", 2, "returned"),
    ]
    assert len(done.responses) == 3


def test_an_answer_at_once_runs_nothing(run: Ask) -> None:
    done = run(Scripted([]), {add})
    assert (done.text, done.executions, len(done.responses)) == ("done", (), 1)


def test_the_model_is_told_of_the_tools_in_every_round(run: Ask) -> None:
    model = Scripted([[("add", '{"a": 1}')]])
    run(model, {"plus": add, "add": add}, temperature=0.5)
    for request in model.seen:
        assert [tool.function.name for tool in request.tools or () if tool.function] == ["add", "plus"]
        assert request.temperature == 0.5


def test_tools_of_one_round_run_at_the_same_time(run: Ask) -> None:
    together = threading.Barrier(3, timeout=10)

    def meet(who: int) -> int:
        together.wait()
        return who

    model = Scripted([[("meet", f'{{"who": {who}}}') for who in range(3)]])
    run(model, {meet})
    assert model.results == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("asked", "outcome", "says"),
    [
        (("nothing", "{}"), "unknown", "There are: add, fail"),
        (("add", '{"a": "x"}'), "invalid", "a: Input should be a valid integer"),
        (("add", '{"a": 1, "c": 1}'), "invalid", "c: Extra inputs"),
        (("add", '{"a": '), "invalid", "Invalid JSON"),
        (("fail", ""), "failed", "RuntimeError: the pump is broken"),
    ],
)
def test_mistakes_are_told_to_the_model(run: Ask, asked: tuple[str, str], outcome: str, says: str) -> None:
    model = Scripted([[asked]])
    done = run(model, {add, fail})
    assert done.executions[0].outcome == outcome
    assert says in model.results[0]


def test_what_a_tool_raises_may_be_raised(run: Ask) -> None:
    with pytest.raises(RuntimeError, match="pump"):
        run(Scripted([[("fail", "{}"), ("add", '{"a": 1}')]]), {fail, add}, on_error="raise")


def test_a_tool_that_takes_too_long(run: Ask) -> None:
    async def sleep() -> None:
        await asyncio.sleep(60)

    model = Scripted([[("sleep", "{}")]])
    done = run(model, {sleep}, tool_timeout_s=0.01)
    assert done.executions[0].outcome == "timeout"
    assert "longer than 0.01 seconds" in model.results[0]


def test_rounds_are_bounded(run: Ask) -> None:
    model = Scripted([[("add", '{"a": 1}')]] * 9)
    with pytest.raises(ResponseValidationError, match="within 3 rounds") as caught:
        run(model, {add}, max_rounds=3)
    assert len(model.seen) == 3
    assert isinstance(caught.value.partial, ChatResponse)


@pytest.mark.parametrize(
    "wrong", [{"max_rounds": 0}, {"tool_timeout_s": 0}, {"on_error": "ignore"}, {"stream": True}, {"timeout": 3}]
)
def test_settings_that_cannot_be(run: Ask, wrong: dict[str, Any]) -> None:
    model = Scripted([])
    with pytest.raises(ConfigError):
        run(model, {add}, **wrong)
    assert model.seen == []


# -- what is seen of it


def test_executions_are_a_fact_of_the_call_that_brings_them_back(run: Ask) -> None:
    done = run(Scripted([[("add", '{"a": 1}')]]), {add})
    first, second = (response.record for response in done.responses)
    assert first.get(TOOLS) == ()
    assert second.get(TOOLS) == done.executions
    assert second.to_dict()["facts"]["tools"][0]["outcome"] == "returned"


def test_the_money_of_all_rounds(run: Ask) -> None:
    cost = Cost(overrides={"scripted/m": {"input": 1, "output": 1}})
    done = run(Scripted([[("add", '{"a": 1}')]]), {add}, cost)
    assert done.cost == sum(response.cost for response in done.responses)
    assert run(Scripted([]), {add}).cost is None


def spans_named(recorded: RecordedTelemetry, start: str) -> Sequence[Any]:
    return [span for span in recorded.spans if span.name.startswith(start)]


def test_each_execution_is_a_span_in_one_trace(run: Ask) -> None:
    inside: list[int] = []

    def look() -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)

    with record_telemetry() as recorded:
        run(Scripted([[("look", "{}")], [("nothing", "{}")]]), {look}, Tracing(), telemetry=recorded.telemetry)
        first, second, third = spans_named(recorded, "chat")
        good, bad = spans_named(recorded, "execute_tool")
        assert_conformant(recorded.spans)
    assert {span.context.trace_id for span in (second, third, good, bad)} == {first.context.trace_id}
    assert (good.parent.span_id, bad.parent.span_id) == (first.context.span_id, second.context.span_id)
    assert (good.status.status_code.name, bad.status.status_code.name) == ("UNSET", "ERROR")
    assert inside == [good.context.span_id]
    assert bad.name == "execute_tool unknown"


def test_what_is_not_kept_has_no_spans_of_tools(run: Ask) -> None:
    with record_telemetry(keep=Keep(ratio=0)) as recorded:
        run(Scripted([[("add", '{"a": 1}')]]), {add}, Tracing(), telemetry=recorded.telemetry)
        assert recorded.spans == ()
