"""A stream that goes on with another one when it breaks: for a stage that repairs streams after their first output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .call import Call
from .errors import GlasswayError
from .outcome import Outcome
from .stream import Block, Meter, Stream
from .trace import Frame

GoOn = Callable[[Call, Stream, GlasswayError], Awaitable[Stream]]
"""`(view, failed stream, its error) -> the stream that follows`, or it raises what the whole fails with. The rest of the
chain may be called with `view`, though the stage has returned long ago.
"""


def relayed(call: Call, first: Stream, go_on: GoOn) -> Stream:
    """One stream: `first`, and behind it, each time that one fails after output, the one that `go_on` opens.

    Each of them ends for itself: what observes the first is told of its failure. Whatever ends the whole ends the one that
    is read at the time; nothing stays open.
    """
    relay = _Relay(call, first, go_on)
    whole = Stream(relay, first.assemble, meter=relay.meter)
    return whole.when_done(relay.end)


class _Relay:
    """A source made of streams that are read one after another."""

    __slots__ = ("_call", "_closed", "_current", "_go_on", "meter")

    def __init__(self, call: Call, first: Stream, go_on: GoOn) -> None:
        self._call = call
        self._current = first
        self._go_on = go_on
        self._closed = False
        self.meter = Meter()

    async def read(self) -> Block:
        while True:
            if self.meter.watch is not None:
                self._current.meter(self.meter.watch)
            try:
                return await self._current.read_block()
            except GlasswayError as error:
                self._current = await self._following(self._current, error)
            if self._closed:  # meanwhile, by another task
                await self._current.aclose()
                return ()

    def end(self, outcome: Outcome) -> None:
        """The whole has ended: so does what is read, before those are told who wait for the whole."""
        if self.meter.watch is not None:
            self._current.meter(self.meter.watch)
        self._current.end(outcome)

    async def aclose(self) -> None:
        self._closed = True
        await self._current.aclose()

    async def _following(self, failed: Stream, error: GlasswayError) -> Stream:
        trace, outer, watch = self._call.state.trace, self._call.frame, self.meter.watch
        if trace is None or outer is None or watch is None:
            return await self._go_on(self._call, failed, error)
        worked, now_ns = watch.pause()
        frame = Frame(outer.index, outer.parent, now_ns)
        trace.frames.append(frame)
        try:
            following = await self._go_on(self._call.in_frame(frame), failed, error)
            following.claim(frame)
            return following
        except BaseException as raised:
            frame.error = raised
            raise
        finally:
            frame.end_ns = trace.now_ns()
            watch.resume(worked, frame.end_ns)
