"""A provider that answers from a script, in process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..pipeline.call import Call
from ..pipeline.errors import APIError, StreamInterruptedError
from ..pipeline.stream import Block, Reply, Stream
from ..pipeline.types import (
    ChatChunk,
    ChatResponse,
    Choice,
    ChoiceDelta,
    Delta,
    FinishReason,
    FunctionCall,
    FunctionDelta,
    Message,
    ToolCall,
    ToolCallDelta,
    Usage,
    assemble_chat,
)

DEFAULT_USAGE = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)


@dataclass(frozen=True, slots=True)
class Scripted:
    """One answer. Streams send `text` word by word, then tool calls, then the finish with the usage."""

    text: str = "Hello there, general reader."
    usage: Usage | None = DEFAULT_USAGE
    finish_reason: FinishReason = "stop"
    tool_calls: Sequence[ToolCall] = ()
    error: APIError | None = None
    """Raised instead of an answer; or, with `after_chunks`, in the middle of one."""
    after_chunks: int | None = None
    """How many chunks of a stream come before `error`, or before the stream is cut if there is no error."""
    delay_s: float = 0.0
    """Before the first chunk, or the whole unary answer."""
    gap_s: float = 0.0
    """Before each further chunk."""
    chunks_per_block: int = 1

    def chunks(self) -> list[ChatChunk]:
        """The whole stream."""
        words = [word + " " for word in self.text.split(" ")]
        words[-1] = words[-1][:-1]
        chunks = [_chunk(Delta(role="assistant", content=""))] + [_chunk(Delta(content=word)) for word in words if word]
        chunks += [
            _chunk(Delta(tool_calls=(ToolCallDelta(i, call.id, "function", _function(call)),)))
            for i, call in enumerate(self.tool_calls)
        ]
        last = ChoiceDelta(finish_reason=self.finish_reason, native_finish_reason=self.finish_reason)
        return [*chunks, ChatChunk("fake-1", "fake-model", 1, (last,), self.usage)]

    def response(self) -> ChatResponse:
        """The same answer, whole."""
        message = Message(role="assistant", content=self.text)
        message = message.but(tool_calls=tuple(self.tool_calls)) if self.tool_calls else message
        choice = Choice(
            index=0, message=message, finish_reason=self.finish_reason, native_finish_reason=self.finish_reason
        )
        return ChatResponse(id="fake-1", model="fake-model", created=1, choices=(choice,), usage=self.usage)


def scripted_tool_call(name: str, arguments: str = "{}", *, id: str = "call_1") -> ToolCall:  # noqa: A002 - the wire's name
    """A tool call for a script."""
    return ToolCall(id=id, function=FunctionCall(name=name, arguments=arguments))


@dataclass(slots=True)
class FakeProvider:
    """Answers calls with `answers` in turn; the last one repeats. Waits on the call's clock, so it takes no real time with `FakeClock`.

    `calls` has every call that arrived; `open_streams` counts streams that were handed out and not released: a leak
    test asserts that it is 0.
    """

    answers: Sequence[Scripted | APIError] = (Scripted(),)
    name: str = "fake"
    calls: list[Call] = field(default_factory=list)
    open_streams: int = 0

    async def __call__(self, call: Call) -> Reply:
        """The next answer of the script."""
        self.calls.append(call)
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        script = Scripted(error=answer) if isinstance(answer, APIError) else answer
        if call.attempt is not None:
            call.attempt.request_id = f"req-{len(self.calls)}"
        if script.error is not None and not (call.request.stream and script.after_chunks):
            await _wait(call, script.delay_s)
            raise script.error
        if not call.request.stream:
            await _wait(call, script.delay_s)
            return script.response()
        return await self._stream(call, script)

    async def _stream(self, call: Call, script: Scripted) -> Stream:
        source = _ScriptedSource(self, call, script)
        try:
            first = await source.read()
        except BaseException:
            await source.aclose()
            raise
        return Stream(source, assemble_chat, first=first)


class _ScriptedSource:
    def __init__(self, provider: FakeProvider, call: Call, script: Scripted) -> None:
        self._provider = provider
        self._call = call
        self._script = script
        self._chunks = script.chunks()
        self._sent = 0
        self._open = True
        provider.open_streams += 1

    async def read(self) -> Block:
        script = self._script
        await _wait(self._call, script.gap_s if self._sent else script.delay_s)
        limit = len(self._chunks) if script.after_chunks is None else script.after_chunks
        block = self._chunks[self._sent : min(limit, self._sent + script.chunks_per_block)]
        self._sent += len(block)
        if not block and limit < len(self._chunks):
            raise script.error or StreamInterruptedError("The scripted stream was cut.")
        return block

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._provider.open_streams -= 1


async def _wait(call: Call, seconds: float) -> None:
    if seconds:
        await call.clock.sleep(seconds)


def _function(call: ToolCall) -> FunctionDelta:
    return FunctionDelta(call.function.name, call.function.arguments) if call.function else FunctionDelta()


def _chunk(delta: Delta) -> ChatChunk:
    return ChatChunk("fake-1", "fake-model", 1, (ChoiceDelta(delta=delta),))
