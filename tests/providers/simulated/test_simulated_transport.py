"""The simulated vendor behind httpx, in process."""

import asyncio
import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.providers.simulated import (
    Fault,
    RequestLog,
    SeenRequest,
    SimulatedRequest,
    SimulatedTransport,
    SimulatedVendor,
    Timing,
)

CHAT = "https://api.openai.com/v1/chat/completions"
HELLO = [{"role": "user", "content": "Tell me something."}]
WORDS = [
    "role",
    "user",
    "content",
    "text",
    "type",
    "tools",
    "function",
    "name",
    "tool_calls",
    "id",
    "stop",
    "n",
    "stream",
    "system",
    "thinking",
    "max_tokens",
]
WORDS += ["input_schema", "parameters", "response_format", "json_schema", "schema", "tool_choice", "cache_control"]
KEY = {"authorization": "Bearer k"}


def make_vendor(**settings):
    return SimulatedVendor(**{"timing": Timing(scale=0), "now": lambda: 1_750_000_000, **settings})


def post(vendor, url=CHAT, headers=KEY, timeout=5, method="POST", **content):
    async def run():
        async with httpx.AsyncClient(transport=SimulatedTransport(vendor), timeout=timeout) as client:
            return await client.request(method, url, headers=headers, **content)

    return asyncio.run(run())


def body(**settings):
    return {"model": "gpt-sim", "messages": HELLO, **settings}


@pytest.mark.parametrize("stream", [False, True])
def test_equal_seeds_give_equal_bytes_and_other_seeds_other_words(stream):
    one, same, other = (post(make_vendor(seed=seed), json=body(stream=stream)) for seed in (1, 1, 2))
    assert (one.content, one.headers) == (same.content, same.headers)
    assert one.content != other.content


def test_a_vendor_repeats_itself_for_the_same_request_but_not_its_request_id():
    vendor = make_vendor()
    first, second = post(vendor, json=body()), post(vendor, json=body())
    assert first.content == second.content
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_what_was_asked_can_be_looked_at():
    vendor = make_vendor()
    post(vendor, json=body(), headers={**KEY, "traceparent": "00-1-2-01"})
    (seen,) = vendor.requests
    assert (seen.method, seen.path, seen.json["model"]) == ("POST", "/v1/chat/completions", "gpt-sim")
    assert seen.headers["traceparent"] == "00-1-2-01"
    assert "baggage" not in seen.headers
    assert "Bearer" not in repr(seen)


@pytest.mark.parametrize("limits", [{"most": 2}, {"most_bytes": 20}])
def test_the_log_of_requests_is_bounded_in_number_and_in_bytes(limits):
    log = RequestLog(**limits)
    for path in "abc":
        log.add(SeenRequest("POST", path, {}, None), body_bytes=10)
    assert [seen.path for seen in log] == [seen.path for seen in log[:]] == ["b", "c"]
    assert (log[-1].path, len(log)) == ("c", 2)
    log.clear()
    assert not log


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("POST", "/v1/chat/completions", {}, {"json": {}}, 401),
        ("POST", "/v1/chat/completions", KEY, {"content": b"{"}, 400),
        ("POST", "/v1/chat/completions", KEY, {"content": b"[]"}, 400),
        ("POST", "/v1/chat/completions", KEY, {"content": b"[" * 100_000}, 400),
        ("POST", "/v1/chat/completions", KEY, {"json": {"messages": HELLO}}, 400),
        ("POST", "/v1/chat/completions", KEY, {"json": {"model": "m", "messages": "x"}}, 400),
        ("POST", "/v1/chat/completions", KEY, {"content": b" " * 5_000_000}, 413),
        ("GET", "/v1/chat/completions", KEY, {}, 405),
        ("POST", "/v1/models", KEY, {"json": {}}, 405),
        ("POST", "/v2/nothing", KEY, {"json": {}}, 404),
        ("POST", "/v1/messages", {}, {"json": {}}, 401),
        ("POST", "/v1/messages", {"x-api-key": "k"}, {"json": {}}, 400),
        ("POST", "/v1/messages", {"x-api-key": "k", "anthropic-version": "2023-06-01"}, {"json": {"model": "m"}}, 400),
        ("GET", "/v1/messages", {"x-api-key": "k"}, {}, 405),
    ],
)
def test_every_bad_request_gets_a_json_error(method, path, headers, content, status):
    reply = post(make_vendor(), "https://simulated" + path, headers, method=method, **content)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(alphabet="ab\ud800é", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(anything, anything, st.dictionaries(st.sampled_from(WORDS), anything))
@settings(deadline=None)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_no_body_is_too_strange_for_an_answer(path, messages, content, rest):
    vendor = make_vendor()
    headers = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
    for asked in ({"messages": messages}, {"messages": [{"role": "user", "content": content}], "max_tokens": 5}):
        sent = json.dumps({"model": "m", **rest, **asked}).encode()
        reply = vendor.respond(SimulatedRequest("POST", path, headers, sent))
        assert reply.status in (200, 400)
        assert reply.streamed or json.loads(reply.body)


@pytest.mark.parametrize(("kind", "error"), [("refuse_connection", httpx.ConnectError), ("cut", httpx.ReadError)])
def test_connection_faults_are_httpxs_errors(kind, error):
    with pytest.raises(error):
        post(make_vendor(faults=[Fault(kind)]), json=body(stream=True))


def test_silence_beyond_the_read_timeout_is_a_timeout():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    with pytest.raises(httpx.ReadTimeout):
        post(make_vendor(faults=[Fault("stall", for_s=60)], sleep=sleep), json=body(stream=True), timeout=5)
    assert waits == [5]


def test_breaking_off_a_stream_is_noticed():
    vendor = make_vendor()

    async def run():
        async with (
            httpx.AsyncClient(transport=SimulatedTransport(vendor), headers=KEY) as client,
            client.stream("POST", CHAT, json=body(stream=True)) as reply,
        ):
            async for _ in reply.aiter_raw():
                break

    asyncio.run(run())
    assert vendor.abandoned == 1
    post(vendor, json=body(stream=True))
    assert vendor.abandoned == 1


def test_a_stream_takes_its_time_and_a_complete_answer_about_as_long():
    totals = []
    for stream in (True, False):
        waits = []

        async def sleep(seconds, waits=waits):
            waits.append(seconds)

        post(make_vendor(timing=Timing(jitter=0), sleep=sleep), json=body(stream=stream), timeout=None)
        assert waits[0] >= 0.25
        totals.append(sum(waits))
    assert 0.5 < totals[0] / totals[1] < 2


def test_jitter_is_deterministic_and_stays_within_its_share():
    async def run(seed):
        waits = []

        async def sleep(seconds):
            waits.append(seconds)

        transport = SimulatedTransport(make_vendor(seed=seed, timing=Timing(1.0, 1.0, jitter=0.5), sleep=sleep))
        async with httpx.AsyncClient(transport=transport, headers=KEY, timeout=None) as client:
            await client.post(CHAT, json=body(stream=True))
        return waits

    first, again, other = (asyncio.run(run(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert all(0.5 <= seconds <= 1.5 for seconds in first)
    assert len(set(first)) > 5


@pytest.mark.parametrize("settings", [{"scale": -1}, {"jitter": 2}, {"first_chunk_s": -0.1}])
def test_impossible_timings_are_refused(settings):
    with pytest.raises(ValueError):
        Timing(**settings)
