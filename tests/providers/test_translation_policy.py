"""What happens when a vendor cannot take a request as it is: refused before anything is sent, said once, or only noted."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from conversations import VENDORS, Vendor

from glassway import Pipeline
from glassway.middlewares import Fallback, Retry
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import BadRequestError, ConfigError
from glassway.pipeline.facts import TRANSLATION, Translation
from glassway.pipeline.params import split_params
from glassway.pipeline.types import ChatRequest
from glassway.providers import HTTPProvider, OpenAI, OpenAICompatible, provider, translation
from glassway.providers.catalogue import row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

LOSSY = {"n": 2, "top_k": 7, "logit_bias": {"1": 1}, "seed": 3, "user": "u", "safetySettings": [], "thinking": 3}
ANSWER = {
    "id": "c",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
}


@pytest.fixture(autouse=True)
def _nothing_said() -> Iterator[None]:
    translation._said.clear()
    yield
    translation._said.clear()


class Wire(httpx.AsyncBaseTransport):
    """Answers alike, and counts."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.requests = list(statuses), list[httpx.Request]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.statuses.pop(0) if self.statuses else 200, json=ANSWER)


def ask(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "the secret"}], **fields})


def openai(wire: Wire, **settings: Any) -> OpenAI:
    return OpenAI(api_key="sk-123456789", transport=wire, **settings)


def through(vendor: Vendor, **settings: Any) -> HTTPProvider:
    return HTTPProvider(
        row_of(vendor.name), vendor.codec, api_key="key-123456789", base_url="https://x.test", **settings
    )


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.label)
async def test_strict_refuses_what_any_vendor_would_not_take(vendor: Vendor) -> None:
    call = vendor.call(ask(**LOSSY))
    lost = [fact for fact in vendor.encode(ask(**LOSSY))[2] if fact.action in ("dropped", "clamped")]
    assert lost
    with pytest.raises(BadRequestError) as raised:
        await through(vendor, translation="strict")(call)
    error = raised.value
    assert (error.fault, error.retryable, error.status_code) == ("caller", False, None)
    assert (error.provider, error.model) == (vendor.name, vendor.model)
    assert all(fact.parameter in str(error) and fact.reason in str(error) for fact in lost)
    assert "the secret" not in str(error)
    assert set(call.trail(TRANSLATION)) >= set(lost)  # the facts tell it too


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.label)
def test_strict_lets_pass_what_every_vendor_takes(vendor: Vendor) -> None:
    """Parameters that are kept, called otherwise or emulated get through: nothing is lost."""
    request = ask(max_tokens=50, messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "x"}])
    assert through(vendor, translation="strict").preview(vendor.call(request))["method"] == "POST"


async def test_nothing_is_sent_and_no_retry_tries_it() -> None:
    wire = Wire()
    async with Pipeline([Retry()], providers=[openai(wire, translation="strict")], telemetry=False) as pipeline:
        with pytest.raises(BadRequestError, match="top_k \\(dropped: openai does not take it\\)"):
            await pipeline.send(ask(top_k=3))
    assert wire.requests == []


async def test_a_dry_run_tells_the_same() -> None:
    pipeline = Pipeline([], providers=[openai(Wire(), translation="strict")], telemetry=False)
    found = await pipeline.aexplain(ask(top_k=3))
    await pipeline.aclose()
    assert found.refused is not None
    assert "top_k" in found.refused
    assert not found.reached_vendor


@pytest.mark.parametrize(("provider_says", "call_says"), [("strict", "warn"), ("strict", "allow"), ("allow", "strict")])
async def test_the_calls_own_policy_goes_before(provider_says: Any, call_says: Any) -> None:
    wire = Wire()
    call = Call.start(ask(top_k=3), options=CallOptions(translation=call_says))
    if call_says == "strict":
        with pytest.raises(BadRequestError):
            await openai(wire, translation=provider_says)(call)
    else:
        await openai(wire, translation=provider_says)(call)
    assert len(wire.requests) == (call_says != "strict")


async def test_warn_is_the_default_and_says_each_parameter_once(caplog: pytest.LogCaptureFixture) -> None:
    target = openai(Wire())
    with caplog.at_level(logging.WARNING, "glassway"):
        for _ in range(3):
            await target(Call.start(ask(top_k=3, documents=["d"])))
        await openai(Wire(), name="other")(Call.start(ask(top_k=3)))
    assert [record.getMessage() for record in caplog.records] == [
        "openai: top_k is dropped: openai does not take it (said once)",
        "openai: documents is dropped: openai has no such parameter (said once)",
        "other: top_k is dropped: openai does not take it (said once)",
    ]


async def test_what_is_only_called_otherwise_is_not_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    call = Call.start(ask(max_tokens=3, model="o3"))
    await openai(Wire())(call)
    assert call.trail(TRANSLATION) == (Translation("max_tokens", "renamed", "openai calls it max_completion_tokens"),)
    assert caplog.records == []


async def test_allow_says_nothing_and_notes_the_fact(caplog: pytest.LogCaptureFixture) -> None:
    call = Call.start(ask(top_k=3))
    await openai(Wire(), translation="allow")(call)
    assert caplog.records == []
    assert [fact.parameter for fact in call.trail(TRANSLATION)] == ["top_k"]


async def test_the_memory_of_what_was_said_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    target = provider("anthropic", api_key="sk-ant-123456789")
    for number in range(translation.MOST_SAID + 50):
        target.preview(Call.start(ask(**{f"made_up_{number}": 1})))
    assert len(translation._said) == len(caplog.records) == translation.MOST_SAID


async def test_what_another_vendor_dropped_is_no_reason_to_refuse() -> None:
    """The first target refuses; the second takes it all, and its answer comes."""
    wire = Wire()
    box = OpenAICompatible(base_url="http://box.test/v1", transport=wire, translation="strict")
    stack = Pipeline(
        [Fallback(["openai_compatible/m"], on=["invalid_request"])],
        providers=[openai(Wire(), translation="strict"), box],
        telemetry=False,
    )
    async with stack as pipeline:
        reply = await pipeline.send(ask(model="openai/gpt-4o", top_k=3))
    assert reply.text == "Hello"
    assert json.loads(wire.requests[0].content)["top_k"] == 3


async def test_facts_are_written_once_however_often_a_call_is_tried() -> None:
    wire = Wire(500, 500)
    async with Pipeline([Retry(initial_s=0.0, maximum_s=0.0)], providers=[openai(wire)], telemetry=False) as pipeline:
        reply = await pipeline.send(ask(top_k=3))
    assert len(wire.requests) == 3
    assert len(reply.record.facts["translation"]) == 1


def test_it_is_an_option_of_a_call() -> None:
    fields, options = split_params({"translation": "strict", "seed": 1}, CallOptions())
    assert (fields, options.translation) == ({"seed": 1}, "strict")


@pytest.mark.parametrize(
    "make", [lambda: OpenAI(translation="loose"), lambda: split_params({"translation": "loose"}, CallOptions())]
)
def test_another_word_is_refused_at_once(make: Any) -> None:
    with pytest.raises(ConfigError, match="translation: expected one of strict, warn, allow"):
        make()
