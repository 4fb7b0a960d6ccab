"""Which recording answers which request, and what a request gets that has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import ask, make, running, server_error
from pydantic import SecretStr

from glassway import CallOptions, Pipeline
from glassway.middlewares import Cache, Cost, Fallback, Guardrails, Record, Replay, Retry, Timeout
from glassway.pipeline.call import NO_OPTIONS
from glassway.pipeline.config import Config
from glassway.pipeline.errors import APITimeoutError, CassetteMiss, ConfigError, GlasswayError, PlanError
from glassway.pipeline.facts import REPLAYS
from glassway.testing import FakeClock, FakeProvider, Scripted
from glassway.testing.finalizers import ENDINGS, run_ending
from glassway.testing.telemetry import assert_conformant, record_telemetry

pytestmark = pytest.mark.anyio

SECRET = "sk-proj-Prompt0CANARY1prompt2prompt3prompt4prompt5"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def record(path: Path, *requests: Any, answers: Any = None, stages: Any = (), **settings: Any) -> None:
    """A cassette of these requests, answered `1`, `2` ... in their order."""
    scripts = answers or [Scripted(text=str(number)) for number in range(1, len(requests) + 1)]
    async with running([*stages, Record(path, **settings)], scripts) as setup:
        for request in requests:
            reply = await setup.pipeline.send(request)
            if request.stream:
                await reply.response()


async def texts(path: Path, *requests: Any, options: CallOptions = NO_OPTIONS, **settings: Any) -> list[str]:
    """What a replay answers; the vendor behind it says `vendor`."""
    async with running([Replay(path, **settings)], [Scripted(text="vendor")]) as setup:
        return [(await setup.pipeline.send(request, options)).text for request in requests]


async def miss(path: Path, request: Any, **settings: Any) -> str:
    async with running([Replay(path, **settings)]) as setup:
        with pytest.raises(CassetteMiss) as caught:
            await setup.pipeline.send(request)
    assert setup.provider.calls == []
    assert caught.value.record is not None
    assert caught.value.record.get(REPLAYS)[0].verdict == "missed"
    return caught.value.message


async def test_each_request_gets_its_own(path: Path) -> None:
    await record(path, ask("a"), ask("b"), ask("c"))
    assert await texts(path, ask("c"), ask("a"), ask("b")) == ["3", "1", "2"]


async def test_one_request_gets_its_recordings_in_their_order_and_then_the_last(path: Path) -> None:
    await record(path, ask("a"), ask("b"), ask("a"))
    assert await texts(path, *[ask("a")] * 4) == ["1", "3", "3", "3"]


async def test_or_an_error(path: Path) -> None:
    await record(path, ask("a"), ask("a"))
    async with running([Replay(path, repeat="raise")]) as setup:
        for _ in range(2):
            await setup.pipeline.send(ask("a"))
        with pytest.raises(CassetteMiss, match="recorded 2 times and all are played"):
            await setup.pipeline.send(ask("a"))


async def test_opened_again_it_begins_again(path: Path) -> None:
    await record(path, ask("a"), ask("a"))
    replay = Replay(path)
    for _ in range(2):
        async with running([replay]) as setup:
            assert (await setup.pipeline.send(ask("a"))).text == "1"


# -- what makes no difference

TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}},
}
TURNED = {"function": {"parameters": {"properties": {"b": {}, "a": {}}, "type": "object"}, "name": "f"}, "type": "function"}  # fmt: skip


def conversation(tool_call_id: str) -> Any:
    called = {"id": tool_call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return ask().but(
        messages=ask().messages
        + tuple(
            type(ask().messages[0]).model_validate(message)
            for message in (
                {"role": "assistant", "content": None, "tool_calls": [called]},
                {"role": "tool", "tool_call_id": tool_call_id, "content": "7"},
            )
        )
    )


SAME = {
    "the order of keys": (ask(tools=(TOOL,)), ask(tools=(TURNED,))),
    "null": (ask(), ask(temperature=None)),
    "a default": (ask(), ask(stream=False)),
    "who asked": (ask(user="a"), ask(user="b")),
    "metadata": (ask(metadata={"a": "b"}), ask()),
    "ids": (conversation("call_a"), conversation("call_b")),
}
OTHERS = {
    "a text": (ask("a"), ask("b"), "messages[0].content"),
    "a parameter": (ask(temperature=0.5), ask(temperature=0.7), "temperature"),
    "a field that we do not know": (ask(foo={"bar": 1}), ask(foo={"bar": 2}), "foo.bar"),
    "the target": (ask(model="fake/a"), ask(model="fake/b"), "target"),
    "a stream": (ask(stream=True), ask(), "stream"),
    "more messages": (ask(), conversation("x"), "messages[1].role"),
    "the order of a list": (ask(stop=("a", "b")), ask(stop=("b", "a")), "stop[0], stop[1]"),
}


@pytest.mark.parametrize("name", SAME)
async def test_what_makes_no_difference(name: str, path: Path) -> None:
    one, other = SAME[name]
    await record(path, one)
    assert await texts(path, other) == ["1"]


@pytest.mark.parametrize("name", OTHERS)
async def test_what_makes_one_and_how_it_is_told(name: str, path: Path) -> None:
    one, other, told = OTHERS[name]
    await record(path, one)
    assert told in await miss(path, other)


@pytest.mark.parametrize(
    ("ignore", "one", "other"),
    [
        ("target", ask(model="fake/a"), ask(model="fake/b")),
        ("messages.*.content", ask("a"), ask("b")),
        ("foo.bar", ask(foo={"bar": 1}), ask(foo={"bar": 2})),
        ("foo.*", ask(foo={"bar": 1}), ask(foo={"baz": 2})),
    ],
    ids=["target", "list", "path", "star"],
)
async def test_what_else_makes_none_can_be_said(ignore: str, one: Any, other: Any, path: Path) -> None:
    await record(path, one)
    assert await texts(path, other, ignore=[ignore]) == ["1"]


async def test_the_nearest_is_told_and_nothing_of_its_content(path: Path) -> None:
    await record(path, ask("nothing like it", temperature=0.1, seed=3), ask("a private matter", temperature=0.5))
    said = await miss(path, ask("another private matter", temperature=0.5))
    assert "exchange 2, which differs in: messages[0].content." in said
    assert "private" not in said


async def test_many_differences_are_told_in_short(path: Path) -> None:
    await record(path, ask())
    said = await miss(path, ask(temperature=1, seed=1, top_p=1, n=1, max_tokens=1, top_k=1, logprobs=True))
    assert "and 2 more" in said


# -- modes


async def test_strictly_nothing_is_sent_and_nobody_tries_again(path: Path) -> None:
    await record(path, ask("a"))
    async with running([Fallback(["fake/b"]), Retry(), Replay(path)]) as setup:
        with pytest.raises(CassetteMiss):
            await setup.pipeline.send(ask("b"))
    assert (setup.provider.calls, setup.clock.slept_s) == ([], 0)


async def test_what_is_missing_may_be_sent_and_recorded(path: Path) -> None:
    await record(path, ask("a"))
    assert await texts(path, ask("a"), ask("b"), mode="record_missing") == ["1", "vendor"]
    assert await texts(path, ask("b"), ask("a")) == ["vendor", "1"]


async def test_a_cassette_that_is_not_there_may_be_begun(path: Path) -> None:
    assert await texts(path, ask("a"), ask("a"), mode="record_missing") == ["vendor", "vendor"]
    assert len(read(path).decode().splitlines()) == 2


async def test_what_is_missing_may_be_sent_and_not_recorded(path: Path) -> None:
    await record(path, ask("a"))
    before = read(path)
    assert await texts(path, ask("a"), ask("b"), mode="pass") == ["1", "vendor"]
    assert read(path) == before


@pytest.mark.parametrize("mode", ["strict", "pass"])
async def test_a_cassette_that_is_not_there_is_told_when_the_pipeline_opens(mode: Any, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a cassette, found none.*Record\("):
        await make([Replay(path, mode=mode)]).pipeline.open()


@pytest.mark.parametrize("mode", ["strict", "record_missing"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense\n", "line 1: expected JSON"),
        ('{"other": 1}\n', "expected an exchange"),
        ('{"glassway_cassette": 2}\n', "expected version 1"),
        ('{"glassway_cassette": 1, "call": "x"}\n', "cannot be read"),
    ],
    ids=["no JSON", "no exchange", "another version", "half an exchange"],
)
async def test_a_cassette_that_cannot_be_read_is_told(text: str, said: str, mode: Any, path: Path) -> None:
    write(path, text.encode())
    with pytest.raises(ConfigError, match=said):
        await make([Replay(path, mode=mode)]).pipeline.open()


@pytest.mark.parametrize("cut", [1, 5, 30, 200, -3], ids=str)
async def test_a_line_that_a_killed_process_left_unfinished_is_left_out(
    cut: int, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await record(path, ask("a"), ask("b"))
    first, second, _ = read(path).split(b"\n")
    write(path, first + b"\n" + second[:cut])
    assert await texts(path, ask("a")) == ["1"]
    assert "is not whole" in caplog.text
    await record(path, ask("c"))
    assert await texts(path, ask("a"), ask("c")) == ["1", "1"]


# -- secrets


async def test_a_request_with_a_secret_is_found_by_what_is_left_of_it(path: Path) -> None:
    await record(path, ask(f"my key is {SECRET}"))
    assert SECRET not in read(path).decode()
    assert await texts(path, ask(f"my key is {SECRET}")) == ["1"]


async def test_and_so_with_a_hook(path: Path) -> None:
    def redact(text: str) -> str:
        return text.replace("Anna", "somebody")

    await record(path, ask("I am Anna"), redact=redact)
    assert "Anna" not in read(path).decode()
    assert await texts(path, ask("I am Anna"), redact=redact) == ["1"]
    assert "messages[0].content" in await miss(path, ask("I am Anna"))


async def test_a_key_that_the_call_brought_is_taken_out_wherever_it_is(path: Path) -> None:
    options = CallOptions(api_key=SecretStr("opensesame"), headers={"x-own": "swordfish"})
    async with running([Record(path)], [Scripted(text="You said opensesame and swordfish.")]) as setup:
        await setup.pipeline.send(ask("opensesame swordfish"), options)
    assert "opensesame" not in read(path).decode()
    assert "swordfish" not in read(path).decode()
    assert await texts(path, ask("opensesame swordfish"), options=options) == ["You said [redacted] and *********."]


# -- how it shows, and where it stands


async def test_what_the_cassette_did_is_a_fact_and_counted(path: Path) -> None:
    await record(path, ask("a"))
    with record_telemetry() as recorded:
        setup = make([Replay(path, mode="pass")], telemetry=recorded.telemetry)
        async with setup.pipeline:
            await setup.pipeline.send(ask("a"))
            await setup.pipeline.send(ask("b"))
    facts = [made.get(REPLAYS)[0] for made in setup.ends.records]
    assert [(fact.verdict, fact.entry) for fact in facts] == [("played", 1), ("passed", 0)]
    assert facts[0].recorded_at_ns == 1_750_000_000_000_000_000
    assert recorded.metrics['glassway_replays_total{verdict="played"}'] == 1
    assert recorded.metrics['glassway_replays_total{verdict="passed"}'] == 1
    assert_conformant(recorded.spans, recorded.metrics)
    assert [len(made.attempts) for made in setup.ends.records] == [1, 1]


async def test_time_limits_strike_a_recording_as_they_strike_a_vendor(path: Path) -> None:
    await record(path, ask("a"), answers=[Scripted(delay_s=5)])
    clock = FakeClock()
    async with running([Timeout(first_chunk_s=2), Replay(path, timing="real")], clock=clock) as setup:
        with pytest.raises(APITimeoutError, match="first chunk within 2 s"):
            await setup.pipeline.send(ask("a"))
    assert clock.slept_s == 2


async def test_the_attempt_budget_holds(path: Path) -> None:
    await record(path, ask("a"), answers=[server_error()] * 1, stages=[Swallow()])
    async with running([Retry(attempts=9, initial_s=0), Replay(path)], attempts=3) as setup:
        with pytest.raises(GlasswayError):
            await setup.pipeline.send(ask("a"))
    assert len(setup.record.attempts) == 3


class Swallow:
    """Answers in the place of an error, so that recording goes on."""

    async def __call__(self, call: Any, call_next: Any) -> Any:
        from builders import answer

        try:
            return await call_next(call)
        except GlasswayError:
            return answer()


async def test_a_dry_run_says_what_would_be_played_and_leaves_it_in_the_deck(path: Path) -> None:
    await record(path, ask("a"), ask("a"))
    async with running([Replay(path)]) as setup:
        dry = await setup.pipeline.aexplain(ask("a"))
        assert not dry.reached_vendor
        assert dry.facts["replays"][0].verdict == "played"
        assert "cassette_miss" in str((await setup.pipeline.aexplain(ask("b"))).refused)
        assert (await setup.pipeline.send(ask("a"))).text == "1"


@pytest.mark.parametrize("stage", [Guardrails(["secrets"]), Cost()], ids=lambda stage: type(stage).__name__)
def test_where_it_cannot_stand(stage: Any, path: Path) -> None:
    with pytest.raises(PlanError, match="Move Replay after"):
        Pipeline([Replay(path), stage], FakeProvider())


@pytest.mark.parametrize("stage", [Retry(), Cache(), Fallback(["fake/b"])], ids=lambda stage: type(stage).__name__)
def test_where_it_had_better_not(stage: Any, path: Path) -> None:
    assert f"Move Replay after {type(stage).__name__}" in Pipeline([Replay(path), stage], FakeProvider()).explain().advice[0]  # fmt: skip


def test_the_plan_says_what_it_is(path: Path) -> None:
    assert "answers from a recording" in str(Pipeline([Replay(path)], FakeProvider()).explain())


# -- however a played call ends


@pytest.mark.parametrize("telemetry", [None, False], ids=["telemetry", "bare"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_however_a_played_call_ends_nothing_is_left(ending: Any, telemetry: Any, path: Path) -> None:
    await run_ending(ending, lambda: [Record(path)])
    report = await run_ending(ending, lambda: [Replay(path, mode="pass", timing="real")], telemetry=telemetry)
    report.assert_clean()
    assert report.record.end == json.loads(read(path))["record"]["end"]


# -- settings


@pytest.mark.parametrize(
    "settings",
    [{"mode": "loose"}, {"timing": "fast"}, {"timing": -1}, {"timing": True}, {"timing": "scaled(x)"}, {"timing": "scaled(1.2.3)"}, {"repeat": "first"}, {"ignore": "user"}, {"ignore": [""]}],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: Any, path: Path) -> None:
    with pytest.raises(ConfigError, match=f"Replay.{next(iter(settings))}"):
        Replay(path, **settings)


async def test_yaml_can_say_it(path: Path) -> None:
    await record(path, ask("a"))
    read = Config.read({"pipeline": [{"replay": {"path": str(path), "timing": 0.5, "ignore": ["user"]}}]}, {})
    replay = read.pipeline(telemetry=False).stages["Replay"]
    assert isinstance(replay, Replay)
    assert (replay.timing, replay.ignore) == (0.5, ("user",))
