"""Faults on request, as the official SDKs and a bare client experience them."""

import asyncio
import json

import anthropic
import httpx
import httpx2
import openai
import pytest

from glassway.providers.simulated import Fault, FaultPlan, SimulatedTransport, SimulatedVendor, Timing, parse_faults
from glassway.providers.simulated.faults import split_model

HELLO = [{"role": "user", "content": "Tell me something."}]


def gpt_chat(client, model="gpt-sim", **settings):
    return client.chat.completions.create(model=model, messages=HELLO, **settings)


def claude_chat(client, model="claude-sim", **settings):
    return client.messages.create(model=model, messages=HELLO, max_tokens=100, **settings)


def collect(stream, into):
    """Keeps what a stream delivered, also when it fails in the middle."""
    for item in stream:
        into.append(item)


def test_a_rate_limit_strikes_as_often_as_asked_and_says_when_to_come_back(serve, openai_at):
    client = openai_at(serve(faults=[Fault("rate_limit", times=2, retry_after_s=1.5)]))
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as caught:
            gpt_chat(client)
        headers = caught.value.response.headers
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert caught.value.code == "rate_limit_exceeded"
    assert gpt_chat(client).choices


def test_a_clients_own_retries_get_through(serve, stack):
    server = serve(faults=[Fault("rate_limit", times=2, retry_after_s=0.001)])
    client = stack.enter_context(openai.OpenAI(base_url=server.openai_base_url, api_key="k", max_retries=2))
    assert gpt_chat(client).choices
    assert len(server.vendor.requests) == 3


@pytest.mark.parametrize(
    ("fault", "openai_error", "anthropic_error", "statuses"),
    [
        ("rate_limit", openai.RateLimitError, anthropic.RateLimitError, (429, 429)),
        ("server_error", openai.InternalServerError, anthropic.InternalServerError, (500, 500)),
        ("server_error;status=503", openai.InternalServerError, anthropic.InternalServerError, (503, 503)),
        ("overloaded", openai.InternalServerError, anthropic.InternalServerError, (503, 529)),
        ("html_502", openai.InternalServerError, anthropic.InternalServerError, (502, 502)),
        ("error_event", openai.InternalServerError, anthropic.InternalServerError, (500, 500)),
    ],
)
def test_error_answers_are_the_sdks_error_classes(gpt, claude, fault, openai_error, anthropic_error, statuses):
    headers = {"x-simulated-fault": fault}
    with pytest.raises(openai_error) as from_openai:
        gpt_chat(gpt, extra_headers=headers)
    with pytest.raises(anthropic_error) as from_anthropic:
        claude_chat(claude, extra_headers=headers)
    assert (from_openai.value.status_code, from_anthropic.value.status_code) == statuses


def test_overload_is_anthropics_own_status_and_type(claude):
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude_chat(claude, "claude-sim@fail=overloaded")
    assert caught.value.body["error"] == {"type": "overloaded_error", "message": "Overloaded"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_connection_is_an_error_in_both_sdks(gpt, claude, stream):
    with pytest.raises(openai.APIConnectionError):
        list(gpt_chat(gpt, "gpt-sim@fail=cut,after_chunks=3", stream=stream))
    # Anthropic's SDK passes on the HTTP client's error when a stream breaks.
    with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)):
        list(claude_chat(claude, "claude-sim@fail=cut", stream=stream))


def test_a_cut_stream_delivers_exactly_the_chunks_before_the_cut(gpt):
    chunks = []
    stream = gpt_chat(gpt, "gpt-sim@fail=cut,after_chunks=3", stream=True)
    with pytest.raises(openai.APIConnectionError):
        collect(stream, chunks)
    assert len(chunks) == 3
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_a_cut_never_comes_after_the_content(gpt):
    chunks = []
    with pytest.raises(openai.APIConnectionError):
        collect(gpt_chat(gpt, "gpt-sim@fail=cut,after_chunks=9999", stream=True), chunks)
    assert len(chunks) > 3
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_a_malformed_event_is_not_json(gpt, claude):
    for stream in (
        gpt_chat(gpt, "gpt-sim@fail=malformed_event", stream=True),
        claude_chat(claude, "claude-sim@fail=malformed_event", stream=True),
    ):
        with pytest.raises(json.JSONDecodeError):
            list(stream)


def test_an_error_event_ends_a_stream_that_began_well(gpt, claude):
    seen = []
    with pytest.raises(openai.APIError, match="overloaded"):
        collect(gpt_chat(gpt, "gpt-sim@fail=error_event,after_chunks=2", stream=True), seen)
    assert len(seen) == 2
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(claude_chat(claude, "claude-sim@fail=error_event", stream=True))


def test_truncated_json_ends_a_well_framed_body_in_the_middle(gpt, claude):
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        gpt_chat(gpt, "gpt-sim@fail=truncated_json")
    with pytest.raises((anthropic.APIError, json.JSONDecodeError)):
        claude_chat(claude, "claude-sim@fail=truncated_json")


def test_usage_can_be_missing(gpt):
    assert gpt_chat(gpt, "gpt-sim@fail=missing_usage").usage is None
    options = {"stream": True, "stream_options": {"include_usage": True}}
    assert all(chunk.usage is None for chunk in gpt_chat(gpt, "gpt-sim@fail=missing_usage", **options))


def test_a_refused_connection_is_a_connection_error(gpt, claude):
    with pytest.raises(openai.APIConnectionError):
        gpt_chat(gpt, "gpt-sim@fail=refuse_connection")
    with pytest.raises(anthropic.APIConnectionError):
        claude_chat(claude, "claude-sim@fail=refuse_connection")


def test_a_duplicate_terminator_is_there_and_harms_no_sdk(gpt, claude):
    body = gpt.chat.completions.with_raw_response.create(
        model="gpt-sim@fail=duplicate_terminator", messages=HELLO, stream=True
    )
    assert body.http_response.read().count(b"data: [DONE]") == 2
    assert list(gpt_chat(gpt, "gpt-sim@fail=duplicate_terminator", stream=True))
    events = list(claude_chat(claude, "claude-sim@fail=duplicate_terminator", stream=True))
    assert [event.type for event in events][-2:] == ["message_stop", "message_stop"]


@pytest.mark.parametrize(("kind", "events_before"), [("slow_first_chunk", 0), ("stall,after_chunks=3", 3)])
def test_waits_that_a_fault_asks_for_come_at_their_place_in_a_stream(kind, events_before):
    ((seconds, received),) = waits_of(f"gpt-sim@fail={kind},for_s=7", stream=True)
    assert seconds == 7
    assert received.count(b"data: ") == events_before


def test_a_stalled_complete_answer_hangs_in_the_middle_and_a_slow_one_before_it_starts():
    ((_, in_the_middle),) = waits_of("gpt-sim@fail=stall,for_s=7", stream=False)
    ((_, at_the_start),) = waits_of("gpt-sim@fail=slow_first_chunk,for_s=7", stream=False)
    assert (len(in_the_middle) > 100, at_the_start) == (True, b"")


def waits_of(model, *, stream):
    """The waits of one answer in order, each with the bytes that had arrived before it."""
    waits, received = [], bytearray()

    async def sleep(seconds):
        waits.append((seconds, bytes(received)))

    async def run():
        transport = SimulatedTransport(SimulatedVendor(timing=Timing(scale=0), sleep=sleep))
        body = {"model": model, "messages": HELLO, "stream": stream}
        async with (
            httpx.AsyncClient(transport=transport, timeout=None, headers={"authorization": "Bearer k"}) as client,
            client.stream("POST", "http://simulated/v1/chat/completions", json=body) as reply,
        ):
            async for data in reply.aiter_raw():
                received.extend(data)

    asyncio.run(run())
    return waits


def test_each_scenario_and_model_counts_for_itself():
    plan = FaultPlan([Fault("rate_limit", times=1)])
    assert plan.strike("a") == plan.strike("b") == plan.strike("a", "other client") == Fault("rate_limit", times=1)
    assert plan.strike("a") is plan.strike("b") is plan.strike("a", "other client") is None


def test_faults_strike_one_after_the_other_every_nth_time_and_by_model():
    plan = FaultPlan([Fault("rate_limit", times=1), Fault("overloaded", every=2), Fault("cut", model="claude-*")])
    assert [getattr(plan.strike("gpt"), "kind", None) for _ in range(5)] == [
        "rate_limit",
        None,
        "overloaded",
        None,
        "overloaded",
    ]
    assert [getattr(plan.strike("claude-x"), "kind", None) for _ in range(3)] == ["rate_limit", "cut", "overloaded"]


def test_the_counters_are_bounded():
    plan = FaultPlan([Fault("rate_limit", times=1)])
    for scenario in range(1025):
        plan.strike("gpt", str(scenario))
    assert plan.strike("gpt", "1024") is None
    assert plan.strike("gpt", "0") is not None  # forgotten, so it counts anew


def test_a_text_may_ask_for_several_faults_with_either_separator():
    wanted = (Fault("rate_limit", times=2, retry_after_s=0.5), Fault("cut", after_chunks=3, model="gpt-*"))
    assert parse_faults("rate_limit;times=2; retry_after_s=0.5 , cut,after_chunks=3;model=gpt-*") == wanted
    assert parse_faults("") == ()
    assert split_model("gpt-sim") == ("gpt-sim", ())
    assert split_model("gpt-sim@fail=cut") == ("gpt-sim", (Fault("cut"),))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("explode", "unknown fault 'explode'"),
        ("cut;often=2", "unknown setting 'often'"),
        ("cut;times=two", "cannot be 'two'"),
        ("cut;times=0", "times and every >= 1"),
        ("server_error;status=418", "500, 502 or 503"),
        ("times=2", "expected a fault's kind"),
    ],
)
def test_a_text_that_cannot_be_read_is_a_clear_400(gpt, text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_faults(text)
    with pytest.raises(openai.BadRequestError, match=problem):
        gpt_chat(gpt, extra_headers={"x-simulated-fault": text})
    with pytest.raises(openai.BadRequestError, match=problem):
        gpt_chat(gpt, f"gpt-sim@fail={text}")


def test_the_answer_after_a_fault_is_the_answer_without_it(gpt):
    with pytest.raises(openai.RateLimitError):
        gpt_chat(gpt, "gpt-sim@fail=rate_limit,times=1")
    assert gpt_chat(gpt, "gpt-sim@fail=rate_limit,times=1") == gpt_chat(gpt, "gpt-sim")
