"""A provider without a pipeline of one's own: its methods are the client's."""

from __future__ import annotations

import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

import glassway as gw
from glassway import Client, SyncStream
from glassway.pipeline.errors import AuthenticationError
from glassway.providers import HTTPProvider, every_provider, provider
from glassway.providers.direct import Direct

ANSWER = {
    "id": "c-1",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}


class City(BaseModel):
    city: str


class Vendor:
    """Answers in turn, and keeps what came."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def openai(*answers: httpx.Response) -> tuple[gw.OpenAI, Vendor]:
    vendor = Vendor(*(answers or (httpx.Response(200, json=ANSWER),)))
    return gw.OpenAI(api_key="sk-test", transport=httpx.MockTransport(vendor)), vendor


def test_a_completion_by_the_models_own_name() -> None:
    target, vendor = openai()
    reply = target.completion("gpt-4o-mini", [{"role": "user", "content": "The capital of France?"}], temperature=0)
    assert reply.text == "Paris"
    assert json.loads(vendor.asked[0].content)["model"] == "gpt-4o-mini"
    assert vendor.asked[0].headers["authorization"] == "Bearer sk-test"
    assert (reply.provider, reply.record.vendor) == ("openai", "openai")  # type: ignore[union-attr]
    assert reply.cost  # its bill, by the published price
    assert target.completion("openai/gpt-4o-mini", [{"role": "user", "content": "x"}]).text == "Paris"


def test_a_failure_that_passes_is_tried_again() -> None:
    target, vendor = openai(httpx.Response(503), httpx.Response(200, json=ANSWER))
    reply = target.chat("gpt-4o-mini", "The capital of France?")
    assert (reply.text, len(vendor.asked)) == ("Paris", 2)


def test_one_that_does_not_is_ours() -> None:
    target, _ = openai(httpx.Response(401, json={"error": {"message": "no such key"}}))
    with pytest.raises(AuthenticationError) as refused:
        target.chat("gpt-4o-mini", "Hi")
    assert refused.value.provider == "openai"
    assert refused.value.record is not None


def test_streams_and_structured_answers_too() -> None:
    events = b"".join(
        b"data: "
        + json.dumps({**ANSWER, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}).encode()
        + b"\n\n"
        for delta, end in (({"content": "Par"}, None), ({"content": "is"}, "stop"))
    )
    target, _ = openai(httpx.Response(200, headers={"content-type": "text/event-stream"}, content=events))
    stream = target.chat("gpt-4o-mini", "Hi", stream=True)
    assert isinstance(stream, SyncStream)
    assert [chunk.text for chunk in stream] == ["Par", "is"]
    said = json.loads(json.dumps(ANSWER).replace("Paris", r"{\"city\": \"Paris\"}"))
    target, _ = openai(httpx.Response(200, json=said))
    assert target.parse(City, "gpt-4o-mini", "Where?") == City(city="Paris")


@pytest.mark.anyio
async def test_the_async_twins() -> None:
    target, _ = openai()
    assert (await target.achat("gpt-4o-mini", "Hi")).text == "Paris"
    ranked = {
        "id": "r",
        "results": [{"index": 0, "relevance_score": 0.5}],
        "meta": {"billed_units": {"search_units": 1}},
    }
    cohere = provider("cohere", api_key="k", transport=httpx.MockTransport(Vendor(httpx.Response(200, json=ranked))))
    assert (await cohere.arerank("rerank-v3.5", "q", ["d"])).results[0].relevance_score == 0.5
    await cohere.client.aclose()


def test_whoever_asks_first_makes_the_one_client() -> None:
    target, _ = openai()
    with ThreadPoolExecutor(8) as threads:
        clients = {id(client) for client in threads.map(lambda _: target.client, range(64))}
    assert len(clients) == 1
    assert target.client.stats().total.calls == 0
    assert openai()[0].client is not target.client


def test_every_vendor_has_them_and_they_are_the_clients() -> None:
    names = [name for name in vars(Direct) if not name.startswith("_") and name != "client"]
    assert len(names) == 22
    for name in names:
        ours: Any = getattr(Client, name)
        assert inspect.isfunction(ours), f"Client has no {name}"
    for made in every_provider():
        assert isinstance(made, HTTPProvider)
        assert all(callable(getattr(made, name)) for name in names)
