"""The client: a pipeline as plain function calls, sync and async."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast, overload

from pydantic import BaseModel

from .administration import Administration
from .batches import Batches
from .call import NO_OPTIONS, CallOptions
from .counting import Counting
from .derived import Derived
from .dryrun import DryRun
from .errors import ConfigError
from .lookups import Lookups
from .params import Params, chat_messages
from .pictures import Pictures
from .pipeline import Pipeline
from .plan import Plan
from .portal import run_sync
from .registry import Registry
from .sounds import Sounds
from .stream import Stream
from .structured import ask_for, read_as, repair_messages, schema_format
from .syncstream import SyncStream
from .tooling import Tooling
from .types import ChatRequest, ChatResponse, Message

ParsedT = TypeVar("ParsedT", bound=BaseModel)
Messages = Sequence[Message | dict[str, Any]]


class Client(Lookups, Pictures, Sounds, Tooling, Counting, Batches, Derived, Administration):
    """Calls a pipeline. Each method has an async twin with an `a` in front; both may be used on one client.

    Every method takes the request's fields (`temperature=`, `tools=`, fields that we do not know too), the call's options
    (`timeout_s=`, `retries=`, `tenant=`, `tags=`, `api_key=`, `base_url=`, `headers=`, `cache=`) and a vendor's own settings
    (`api_version=`, `region=` ...) as keyword arguments. Options and settings are never sent upstream as parameters.

    Used with `with` or `async with`, it closes the pipeline at the end: callbacks are delivered, spans exported.
    """

    def __init__(self, pipeline: Pipeline, *, registry: Registry | None = None) -> None:
        """`registry`: names that callers may use as models; none by default."""
        self.pipeline = pipeline
        self.registry = registry if registry is not None else Registry()
        self._retiring = set()

    # -- chat

    @overload
    def completion(
        self,
        model: str,
        messages: Messages,
        *,
        stream: Literal[False] = False,
        options: CallOptions = ...,
        **params: Any,
    ) -> ChatResponse: ...

    @overload
    def completion(
        self, model: str, messages: Messages, *, stream: Literal[True], options: CallOptions = ..., **params: Any
    ) -> SyncStream[ChatResponse]: ...

    def completion(
        self, model: str, messages: Messages, *, stream: bool = False, options: CallOptions = NO_OPTIONS, **params: Any
    ) -> ChatResponse | SyncStream[ChatResponse]:
        """Continue a conversation. `model` is `vendor/model`, a bare model name, or a name from the registry.

        Raises errors of `glassway.errors`; `TypeError` and `pydantic.ValidationError` for a request that is none.
        """
        reply = run_sync(self._send, self._chat_request(model, messages, stream, options, params))
        return SyncStream(reply) if isinstance(reply, Stream) else reply

    @overload
    async def acompletion(
        self,
        model: str,
        messages: Messages,
        *,
        stream: Literal[False] = False,
        options: CallOptions = ...,
        **params: Any,
    ) -> ChatResponse: ...

    @overload
    async def acompletion(
        self, model: str, messages: Messages, *, stream: Literal[True], options: CallOptions = ..., **params: Any
    ) -> Stream: ...

    async def acompletion(
        self, model: str, messages: Messages, *, stream: bool = False, options: CallOptions = NO_OPTIONS, **params: Any
    ) -> ChatResponse | Stream:
        """`completion`, on the running event loop."""
        request, options = self._chat_request(model, messages, stream, options, params)
        return await self.pipeline.send(request, options)  # type: ignore[return-value]  # a chat's reply

    @overload
    def chat(
        self, model: str, prompt: str, *, system: str | None = None, stream: Literal[False] = False, **params: Any
    ) -> ChatResponse: ...

    @overload
    def chat(
        self, model: str, prompt: str, *, system: str | None = None, stream: Literal[True], **params: Any
    ) -> SyncStream[ChatResponse]: ...

    def chat(
        self, model: str, prompt: str, *, system: str | None = None, stream: bool = False, **params: Any
    ) -> ChatResponse | SyncStream[ChatResponse]:
        """Ask one question, with an optional system prompt."""
        return self.completion(model, chat_messages(prompt, system), stream=stream, **params)  # type: ignore[call-overload, no-any-return]  # a plain bool

    @overload
    async def achat(
        self, model: str, prompt: str, *, system: str | None = None, stream: Literal[False] = False, **params: Any
    ) -> ChatResponse: ...

    @overload
    async def achat(
        self, model: str, prompt: str, *, system: str | None = None, stream: Literal[True], **params: Any
    ) -> Stream: ...

    async def achat(
        self, model: str, prompt: str, *, system: str | None = None, stream: bool = False, **params: Any
    ) -> ChatResponse | Stream:
        """`chat`, on the running event loop."""
        return await self.acompletion(model, chat_messages(prompt, system), stream=stream, **params)  # type: ignore[call-overload, no-any-return]  # as above

    def parse(
        self, into: type[ParsedT], model: str, prompt: str | Messages, *, repairs: int = 0, **params: Any
    ) -> ParsedT:
        """Ask for an answer of the shape of a pydantic model, and return a validated instance.

        `repairs`: how often the model may correct an answer that does not validate (each is a call of its own).
        Raises `ResponseValidationError` if the last answer does not validate either.
        """
        return run_sync(self._parse, into, model, prompt, repairs, params)

    async def aparse(
        self, into: type[ParsedT], model: str, prompt: str | Messages, *, repairs: int = 0, **params: Any
    ) -> ParsedT:
        """`parse`, on the running event loop."""
        return await self._parse(into, model, prompt, repairs, params)

    # -- what it is

    @overload
    def explain(self) -> Plan: ...

    @overload
    def explain(
        self, model: str, messages: Messages, *, stream: bool = False, options: CallOptions = ..., **params: Any
    ) -> DryRun: ...

    def explain(
        self,
        model: str | None = None,
        messages: Messages = (),
        *,
        stream: bool = False,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> Plan | DryRun:
        """The pipeline's plan; or, with a request, a dry run of it."""
        if model is None:
            return self.pipeline.explain()
        return self.pipeline.explain(*self._chat_request(model, messages, stream, options, params))

    async def aexplain(
        self, model: str, messages: Messages, *, stream: bool = False, options: CallOptions = NO_OPTIONS, **params: Any
    ) -> DryRun:
        """The dry run, on the running event loop."""
        return await self.pipeline.aexplain(*self._chat_request(model, messages, stream, options, params))

    def close(self) -> None:
        """Close the pipeline: deliver what is queued, release connections."""
        run_sync(self.pipeline.aclose)

    async def aclose(self) -> None:
        """`close`, on the running event loop."""
        await self.pipeline.aclose()

    def __enter__(self) -> Self:
        run_sync(self.pipeline.open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.pipeline.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Client({self.pipeline!r})"

    # -- inside

    def _chat_request(
        self, model: str, messages: Messages, stream: bool, options: CallOptions, params: dict[str, Any]
    ) -> Params:
        if messages.__class__ is not list and isinstance(messages, (str, bytes, Mapping)):
            raise TypeError(
                f"messages: expected a list of messages, found {type(messages).__name__}. For one question there is chat()."
            )
        target, fields, options = self._named(model, params, options)
        given = {"model": target, "messages": tuple(messages), "stream": stream, **fields}
        request = ChatRequest.__pydantic_validator__.validate_python(given)  # what `model_validate` calls
        return Params(request, options)

    async def _send(self, params: Params) -> ChatResponse | Stream:
        return cast("ChatResponse | Stream", await self.pipeline.send(params.request, params.options))

    async def _parse(
        self, into: type[ParsedT], model: str, prompt: str | Messages, repairs: int, params: dict[str, Any]
    ) -> ParsedT:
        if repairs < 0:
            raise ConfigError(f"repairs: expected a whole number from 0, found {repairs}.")
        if params.get("stream"):
            raise ConfigError(
                "stream: an answer is parsed when it is whole. Leave it out, or read the stream with completion()."
            )
        messages = ask_for(prompt)
        for left in range(repairs, -1, -1):
            response = await self.acompletion(model, messages, response_format=schema_format(into), **params)
            parsed, complaint = read_as(into, response)
            if parsed is not None:
                return parsed
            if not left:
                raise complaint
            messages = repair_messages(messages, response, complaint)
        raise AssertionError("unreachable: the last round returns or raises")
