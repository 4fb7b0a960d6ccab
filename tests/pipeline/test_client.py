"""The client: the same by its sync and its async methods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from builders import Ends
from pydantic import BaseModel, ValidationError

from glassway import CallOptions, Client, Pipeline, Registry, Stream, SyncStream
from glassway.pipeline.errors import ConfigError, ResponseValidationError
from glassway.pipeline.types import ChatRequest, Message
from glassway.testing import FakeProvider, Scripted


class Caller:
    """A client, called by name: its sync method, or its async twin on a loop of its own."""

    def __init__(self, way: str, *answers: Any) -> None:
        self.way = way
        self.provider = FakeProvider(answers or [Scripted()])
        self.ends = Ends()
        self.client = Client(Pipeline([self.ends], self.provider))

    def __call__(self, name: str, *args: Any, **params: Any) -> Any:
        if self.way == "sync":
            reply = getattr(self.client, name)(*args, **params)
            return [chunk.text for chunk in reply] if isinstance(reply, SyncStream) else reply

        async def twin() -> Any:
            reply = await getattr(self.client, f"a{name}")(*args, **params)
            return [chunk.text async for chunk in reply] if isinstance(reply, Stream) else reply

        if self.way == "async":
            return asyncio.run(twin())

        async def around() -> Any:  # a notebook: sync code inside a running loop
            return Caller.__call__(self._as("sync"), name, *args, **params)

        return asyncio.run(around())

    def _as(self, way: str) -> Caller:
        self.way = way
        return self

    @property
    def call(self) -> Any:
        """The only one."""
        [call] = self.provider.calls
        return call


@pytest.fixture(params=["sync", "async", "notebook"])
def calling(request: pytest.FixtureRequest) -> Callable[..., Caller]:
    return lambda *answers: Caller(request.param, *answers)


def test_chat_asks_one_question(calling: Callable[..., Caller]) -> None:
    caller = calling()
    assert caller("chat", "m", "Hi", system="Be kind.", temperature=0.5).text == "Hello there, general reader."
    assert caller.call.request.to_dict() == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        "stream": False,
        "temperature": 0.5,
    }


def test_completion_continues_a_conversation(calling: Callable[..., Caller]) -> None:
    caller = calling()
    first = caller("completion", "m", [{"role": "user", "content": "Hi"}])
    caller(
        "completion", "m", [{"role": "user", "content": "Hi"}, first.message, Message(role="user", content="Go on.")]
    )
    assert [message.text for message in caller.provider.calls[1].request.messages] == [
        "Hi",
        "Hello there, general reader.",
        "Go on.",
    ]


@pytest.mark.parametrize("name", ["chat", "completion"])
def test_streams(calling: Callable[..., Caller], name: str) -> None:
    caller = calling(Scripted(text="a b", chunks_per_block=2))
    prompt: Any = "Hi" if name == "chat" else [{"role": "user", "content": "Hi"}]
    assert caller(name, "m", prompt, stream=True) == ["", "a ", "b", ""]
    assert caller.ends.record.end == "completed"


def test_options_settings_and_fields_are_told_apart(calling: Callable[..., Caller]) -> None:
    caller = calling()
    params = {
        "timeout_s": 5,
        "retries": 0,
        "tenant": "acme",
        "tags": ["a"],
        "api_key": "sk-1",
        "base_url": "http://x",
        "headers": {"h": "1"},
        "cache": {"ttl_s": 1},
    }
    caller(
        "chat",
        "m",
        "Hi",
        **params,
        api_version="v1",
        region="eu",
        metadata={"k": "v"},
        unknown={"x": 1},
        options=CallOptions(settings={"project": "p"}),
    )
    options, sent = caller.call.options, caller.call.request.to_dict()
    assert (options.timeout_s, options.retries, options.tenant, options.tags, options.base_url) == (
        5,
        0,
        "acme",
        ("a",),
        "http://x",
    )
    assert options.settings == {"project": "p", "api_version": "v1", "region": "eu"}
    assert (options.headers, options.cache) == ({"h": "1"}, {"ttl_s": 1})
    assert options.api_key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(options)
    assert "'h'" not in repr(options)
    assert (sent["metadata"], sent["unknown"]) == ({"k": "v"}, {"x": 1})
    assert not (set(params) | {"api_version", "region", "options"}) & set(sent)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"timeout": 5}, "The option is called timeout_s"),
        ({"api_base": "x"}, "The option is called base_url"),
        ({"num_retries": 1}, "The option is called retries"),
        ({"max_retries": 1}, "The option is called retries"),
        ({"timeout_s": 0}, "timeout_s: expected seconds above 0 or None"),
        ({"timeout_s": "5"}, "timeout_s: expected seconds"),
        ({"timeout_s": True}, "timeout_s: expected seconds"),
        ({"timeout_s": float("inf")}, "timeout_s: expected seconds"),
        ({"retries": -1}, "retries: expected a whole number from 0"),
        ({"retries": 1.5}, "retries: expected a whole number from 0"),
        ({"retries": True}, "retries: expected a whole number from 0"),
        ({"tags": "prod"}, "tags: expected a list of names, found str"),
        ({"tags": 5}, "tags: expected a list of names, found int"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_with_the_right_name(
    calling: Callable[..., Caller], params: dict[str, Any], message: str
) -> None:
    caller = calling()
    with pytest.raises(ConfigError, match=message):
        caller("chat", "m", "Hi", **params)
    assert caller.provider.calls == []


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], ValidationError),
        ("Hi", TypeError),
        ({"role": "user"}, TypeError),
        (None, TypeError),
        ([5], ValidationError),
        ([{"role": "nobody"}], ValidationError),
    ],
    ids=str,
)
def test_what_are_no_messages_is_refused(calling: Callable[..., Caller], messages: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        calling()("completion", "m", messages)


class Answer(BaseModel):
    value: int
    unit: str | None = None


def test_parse_gives_a_validated_instance_and_asks_for_the_schema(calling: Callable[..., Caller]) -> None:
    caller = calling(Scripted(text='{"value": 4, "unit": null}'))
    assert caller("parse", Answer, "m", "What is 2+2?") == Answer(value=4)
    wanted = caller.call.request.response_format.json_schema
    assert (wanted["name"], wanted["strict"]) == ("Answer", True)
    assert (wanted["schema"]["required"], wanted["schema"]["additionalProperties"]) == (["value", "unit"], False)
    assert "default" not in str(wanted["schema"])


def test_parse_lets_the_model_repair_its_answer(calling: Callable[..., Caller]) -> None:
    caller = calling(Scripted(text='{"value": "many"}'), Scripted(text='{"value": 4}'))
    assert caller("parse", Answer, "m", [{"role": "user", "content": "What?"}], repairs=1).value == 4
    second = caller.provider.calls[1].request.messages
    assert [message.role for message in second] == ["user", "assistant", "user"]
    assert second[1].text == '{"value": "many"}'
    assert "value: Input should be a valid integer" in second[2].text


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (Scripted(text="not JSON"), "Expected JSON of Answer: the whole: Invalid JSON"),
        (Scripted(text='{"value": "sk-secret"}'), "value: Input should be a valid integer"),
        (Scripted(text='{"val', finish_reason="length"), "Raise max_tokens: the answer was cut off"),
    ],
    ids=["text", "wrong type", "cut"],
)
def test_parse_says_what_was_wrong_and_not_what_was_said(
    calling: Callable[..., Caller], script: Scripted, message: str
) -> None:
    caller = calling(script)
    with pytest.raises(ResponseValidationError, match=message) as caught:
        caller("parse", Answer, "m", "What?", repairs=1)
    assert len(caller.provider.calls) == 2
    assert "sk-secret" not in str(caught.value)
    assert caught.value.provider == "fake"


def test_parse_takes_a_refusal_for_what_it_is(calling: Callable[..., Caller]) -> None:
    async def refusing(call: Any, call_next: Any) -> Any:
        reply = await call_next(call)
        message = reply.message.but(content=None, refusal="No.")
        return reply.but(choices=(reply.choices[0].but(message=message),))

    caller = calling()
    caller.client = Client(Pipeline([refusing], caller.provider))
    with pytest.raises(ResponseValidationError, match="the model refused to answer"):
        caller("parse", Answer, "m", "What?")


@pytest.mark.parametrize("params", [{"repairs": -1}, {"stream": True}], ids=str)
def test_parse_refuses_what_makes_no_sense(calling: Callable[..., Caller], params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        calling()("parse", Answer, "m", "What?", **params)


def test_explain_is_a_dry_run_of_the_same_request(calling: Callable[..., Caller]) -> None:
    caller = calling()
    found = caller(
        "explain",
        "m",
        [{"role": "user", "content": "Hi"}],
        stream=True,
        temperature=0.5,
        tenant="acme",
        options=CallOptions(retries=0),
    )
    assert (found.reached_vendor, found.target, caller.provider.calls) == (True, "fake/m", [])


def test_explain_without_a_request_is_the_plan() -> None:
    client = Client(Pipeline([], FakeProvider()))
    assert str(client.explain()) == "caller\n  ▼  fake"
    assert repr(client) == "Client(Pipeline(fake))"


def test_names_of_the_registry_stand_for_models_and_defaults(calling: Callable[..., Caller]) -> None:
    caller = calling()
    caller.client.registry.register("fast", "fake/small", temperature=0.1, tenant="acme")
    caller("chat", "fast", "Hi", temperature=0.9)
    request: ChatRequest = caller.call.request
    assert (request.model, request.temperature, caller.call.options.tenant) == ("fake/small", 0.9, "acme")


def test_a_client_closes_its_pipeline() -> None:
    with Client(Pipeline([], FakeProvider())) as client:
        client.chat("m", "Hi")
    with pytest.raises(ConfigError, match="closed"):
        client.chat("m", "Hi")

    async def twin() -> Client:
        async with Client(Pipeline([], FakeProvider())) as client:
            await client.achat("m", "Hi")
        return client

    with pytest.raises(ConfigError, match="closed"):
        asyncio.run(twin()).chat("m", "Hi")


def test_a_sync_stream_may_be_read_whole_and_tells_how_it_ended() -> None:
    client = Client(Pipeline([], FakeProvider()), registry=Registry())
    stream = client.chat("m", "Hi", stream=True)
    assert stream.outcome is None
    next(stream)
    assert stream.response().text == "Hello there, general reader."
    assert list(stream) == []
    assert stream.outcome is not None
    assert stream.outcome.ok
