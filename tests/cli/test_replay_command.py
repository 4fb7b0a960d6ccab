"""`glassway replay`: the same calls through another stack, and what differs; content only if asked for."""

import asyncio
import json

import pytest

from glassway import CallOptions, ChatRequest, Message, Pipeline
from glassway.middlewares import Cost, Record, Retry
from glassway.pipeline.errors import GlasswayError
from glassway.pipeline.stream import Stream
from glassway.providers import Simulated
from glassway.providers.simulated import Fault, SimulatedVendor, Timing


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Tables that break no words."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def cassette(tmp_path):
    """Four calls: one that was retried, one that failed, a stream, and a stream that its reader closed."""
    path = tmp_path / "calls.jsonl"
    asyncio.run(record(path))
    return path


def request(text, *, model="simulated/gpt-sim", stream=False):
    return ChatRequest(model=model, messages=(Message(role="user", content=text),), stream=stream)


async def record(path):
    vendor = SimulatedVendor(timing=Timing(scale=0), faults=[Fault("overloaded", times=1)])
    async with Pipeline(
        [Cost(), Retry(attempts=2, initial_s=0.001, maximum_s=0.001), Record(path)], Simulated(vendor=vendor)
    ) as pipeline:
        await pipeline.send(request("What is the capital of Italy?"), CallOptions(tenant="acme"))
        with pytest.raises(GlasswayError):
            await pipeline.send(request("Hi", model="simulated/gpt-sim@fail=server_error"))
        await whole(await pipeline.send(request("Tell me a story.", stream=True)))
        closed = await pipeline.send(request("Tell me another.", stream=True))
        await anext(closed)
        await closed.aclose()  # fmt: skip


async def whole(reply):
    assert isinstance(reply, Stream)
    return await reply.response()


def config(tmp_path, text):
    path = tmp_path / "other.yaml"
    path.write_text(text)
    return str(path)


SAME = "pipeline: [cost, {retry: {attempts: 2, initial_s: 0.001, maximum_s: 0.001}}]"


def test_the_same_stack_gives_the_same(shell, cassette, tmp_path):
    code, out, err = shell("replay", str(cassette), "-c", config(tmp_path, SAME), "--fail-on-difference")
    assert (code, err) == (0, "")
    assert "4 calls: 3 equal, 0 different, 1 skipped; 0 decided otherwise" in " ".join(out.split())
    assert "equal: server_error" in " ".join(out.split())
    assert "its caller hung up" in " ".join(out.split())
    assert "answered by the cassette" in out


def test_without_a_configuration_the_usual_stack_is_asked(shell, cassette):
    code, out, _ = shell("replay", str(cassette))
    assert code == 0
    assert "3 equal" in out


def test_another_stack_is_compared_call_by_call(shell, cassette, tmp_path):
    code, out, _ = shell("replay", str(cassette), "-c", config(tmp_path, "pipeline: [cost]"), "--fail-on-difference")
    assert code == 1
    said = " ".join(out.split())
    assert "differs: 29 characters -> overloaded with nothing" in said
    assert "retries: overloaded backoff -> none" in said
    assert "2 equal, 1 different, 1 skipped; 2 decided otherwise" in said
    assert "Rome" not in out


def test_without_the_flag_a_difference_is_no_failure(shell, cassette, tmp_path):
    assert shell("replay", str(cassette), "-c", config(tmp_path, "pipeline: [cost]"))[0] == 0


def test_content_is_shown_only_if_asked_for(shell, cassette, tmp_path):
    out = shell("replay", str(cassette), "-c", config(tmp_path, "pipeline: [cost]"), "--content")[1]
    assert "-The capital of Italy is Rome." in out


def test_the_same_for_machines(shell, cassette, tmp_path):
    code, out, _ = shell("replay", str(cassette), "-c", config(tmp_path, "pipeline: [cost]"), "--json")
    found = json.loads(out)
    assert code == 0
    assert [call["equal"] for call in found["calls"]] == [False, True, True]
    totals = found["totals"]
    assert (totals["calls"], totals["equal"], totals["different"], totals["skipped"]) == (4, 2, 1, 1)
    first = found["calls"][0]
    assert first["decided_otherwise"] == ["attempts", "retries"]
    assert first["before"]["decisions"]["attempts"] == ["simulated/gpt-sim overloaded", "simulated/gpt-sim ok"]
    assert first["after"]["error"] == "overloaded"
    assert "Rome" not in out
    assert found["calls"][2]["before"]["cost_usd"] == found["calls"][2]["after"]["cost_usd"]


@pytest.mark.parametrize("arguments", [["--speed", "0"], ["--speed", "1"], ["--speed", "0.1"]], ids=str)
def test_the_pace_can_be_chosen(shell, cassette, tmp_path, arguments):
    code, out, _ = shell("replay", str(cassette), "-c", config(tmp_path, SAME), *arguments)
    assert code == 0
    assert f"waits times {arguments[1]}" in out


def test_a_negative_pace_is_a_usage_error(shell, cassette):
    assert shell("replay", str(cassette), "--speed", "-1")[0] == 2


def test_real_providers_are_asked_if_wanted(shell, cassette, tmp_path):
    text = "providers: {simulated: {}}\n" + SAME
    code, out, _ = shell("replay", str(cassette), "-c", config(tmp_path, text), "--live", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["live"] is True
    assert [call["equal"] for call in found["calls"]] == [True, True, True]
    assert found["calls"][0]["decided_otherwise"] == ["attempts", "retries"]


def test_and_another_model(shell, cassette, tmp_path):
    text = "providers: {simulated: {}}\n" + SAME
    out = shell(
        "replay", str(cassette), "-c", config(tmp_path, text), "--live", "-m", "simulated/gpt-sim-mini", "--json"
    )[1]
    assert {call["after"]["requested"] for call in json.loads(out)["calls"]} == {"simulated/gpt-sim-mini"}


def test_no_recording_is_made_of_a_replay(shell, cassette, tmp_path):
    before = cassette.read_bytes()
    text = f"pipeline: [cost, retry, record: {{to: {cassette}}}]"
    assert shell("replay", str(cassette), "-c", config(tmp_path, text))[0] == 0
    assert cassette.read_bytes() == before


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("")], ids=["missing", "empty"])
def test_a_cassette_that_holds_nothing_is_told(shell, tmp_path, make):
    make(tmp_path / "none.jsonl")
    code, out, err = shell("replay", str(tmp_path / "none.jsonl"))
    assert (code, out) == (2, "")
    assert "found none" in err
