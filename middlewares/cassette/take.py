"""One exchange while it happens: references alone, so that the call pays for nothing but noting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pipeline.attempts import attempt_since
from ...pipeline.call import Call
from ...pipeline.outcome import End, Outcome, outcome_of
from ...pipeline.stream import Block, Reply, Source, Stream
from ...pipeline.types import Response
from .entry import MARK, VERSION, timestamp
from .masking import Mask
from .plain import Plain, head_of, plain_chunk, plain_error, short

if TYPE_CHECKING:
    from .desk import Reel


class Take:
    """Notes what goes by, for one exchange; its reel is told, once, when it has ended."""

    __slots__ = ("_asked_ns", "_made", "blocks", "call", "end", "error", "exchange", "first", "reel", "response", "settles", "streamed", "waited_ns")  # fmt: skip

    def __init__(self, call: Call, reel: Reel, asked_ns: int) -> None:
        self.call = call
        self.reel = reel
        self.exchange = 0
        """Its number within the call, from 1, once it has ended."""
        self.settles = False
        """Whether it is its call's last, which is written with the call's record."""
        self._asked_ns = asked_ns
        self._made = call.state.attempts_made
        self.response: Response | None = None
        self.streamed = False
        self.waited_ns = 0
        self.error: BaseException | None = None
        self.end: End = "completed"

    def failed(self, error: BaseException) -> None:
        """It ended before any output."""
        self.waited_ns = self.call.clock.now_ns() - self._asked_ns
        self.end, self.error = outcome_of(error), error
        self.reel.take(self)

    def answered(self, reply: Reply) -> None:
        """A reply is there; a stream is watched to its end."""
        self.waited_ns = self.call.clock.now_ns() - self._asked_ns
        if isinstance(reply, Stream):
            self._watch(reply)
        else:
            self.response = reply
            self.reel.take(self)

    def _watch(self, stream: Stream) -> None:
        self.streamed = True
        self.blocks: list[tuple[int, Block]] = []
        self.first: Block = ()
        stream.attend(self._timed)
        stream.map_blocks(self._note)
        stream.when_done(self._ended)

    def _timed(self, source: Source, first: Block) -> Source:
        self.first = first
        return _Timed(source, self)

    def _note(self, block: Block) -> Block:
        if block:
            self.blocks.append((self.waited_ns, block))
            self.waited_ns = 0
        return block

    def _ended(self, outcome: Outcome) -> None:
        if self.first and not self.blocks:  # it came, and nobody read it
            self._note(self.first)
        self.end, self.error = outcome.end, outcome.error
        self.reel.take(self)

    # -- off the call's path

    def plain(self, mask: Mask) -> Plain:
        """The exchange as it is written, secrets taken out."""
        data: Plain = {
            MARK: VERSION,
            "recorded_at": timestamp(self.reel.wall_ns(self._asked_ns)),
            "call": self.call.id,
            "exchange": self.exchange,
            "request": self._request(mask),
        }
        if self.streamed:
            data["stream"] = self._stream(mask)
        elif self.response is not None:
            data["response"] = mask.value(self.response.to_dict())
        data["end"] = self.end
        data["end_after_s"] = _seconds(self.waited_ns)
        if self.error is not None and self.end not in ("cancelled", "closed", "abandoned"):
            data["error"] = mask.value(plain_error(self.error))
        return data | {"attempt": mask.value(self._attempt())}

    def _request(self, mask: Mask) -> Plain:
        options, request = self.call.options, self.call.request
        said = {"tenant": options.tenant, "tags": list(options.tags), "metadata": dict(options.metadata)}
        return {
            "operation": request.operation,
            "target": str(self.call.target),
            **mask.value({name: value for name, value in said.items() if value}),
            "body": mask.value(request.to_dict()),
        }

    def _stream(self, mask: Mask) -> Plain:
        operation = self.call.request.operation
        chunks = mask.chunks([plain_chunk(chunk) for _, block in self.blocks for chunk in block])
        head, left = head_of(chunks), iter(chunks)
        blocks = [
            [_seconds(waited_ns), *(short(operation, next(left), head) for _ in block)]
            for waited_ns, block in self.blocks
        ]
        return {"head": head, "blocks": blocks}

    def _attempt(self) -> Plain:
        attempt = attempt_since(self.call, self._made, answered=self.end == "completed")
        if attempt is None:
            return {}
        said = {
            "provider": attempt.provider,
            "model": attempt.model,
            "vendor": attempt.vendor,
            "status_code": attempt.status_code,
            "request_id": attempt.request_id,
            "response_id": attempt.response_id,
            "response_model": attempt.response_model,
            "service_tier": attempt.service_tier,
        }
        return {name: value for name, value in said.items() if value is not None}


class _Timed:
    """A source whose waits are measured: the reader's own time is not in them."""

    __slots__ = ("_source", "_take")

    def __init__(self, source: Source, take: Take) -> None:
        self._source = source
        self._take = take

    async def read(self) -> Block:
        """The next block."""
        clock = self._take.call.clock
        asked_ns = clock.now_ns()
        try:
            return await self._source.read()
        finally:
            self._take.waited_ns += clock.now_ns() - asked_ns

    async def aclose(self) -> None:
        """Let go of the source."""
        await self._source.aclose()


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e9, 6)
