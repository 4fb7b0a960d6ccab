"""The lean recording of one call: frames with start and end, and the stopwatch of its stream.

Spans are made of this later, off the call's path, and only for traces that are kept.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .clock import SYSTEM_CLOCK, Clock
from .facts import Attempt

if TYPE_CHECKING:
    from .record import Record
    from .telemetry.meaning import Meaning
    from .telemetry.policy import TracePolicy

T = TypeVar("T")


class Frame:
    """One stage at work once: a retry opens a new one for everything inside it."""

    self_ns: int
    """Set by `Trace.measure`, as is what is covered."""
    covered_until_ns: int

    __slots__ = (
        "covered_until_ns",
        "end_ns",
        "error",
        "index",
        "parent",
        "self_ns",
        "start_ns",
        "stream_ns",
    )

    def __init__(self, index: int, parent: Frame | None, start_ns: int) -> None:
        """`index` is the stage's place in the pipeline; -1 is the call itself."""
        self.index = index
        self.parent = parent
        self.start_ns = start_ns
        self.end_ns = 0
        self.stream_ns = 0
        """Time spent on the stream after the stage had returned it."""
        self.error: BaseException | None = None


class TraceKeeper(Protocol):
    """What makes spans of one call. The chain and the attempts tell it what happens; stages see nothing of it."""

    def attach(self) -> object:
        """Make the call's span the current one; returns a token."""
        ...

    def detach(self, token: object) -> None:
        """Undo `attach`. Quiet where the token is another context's: a finaliser may run anywhere."""
        ...

    async def around(self, step: Awaitable[T]) -> T:
        """Await one step with the call's span current."""
        ...

    def follow(self, policy: TracePolicy) -> None:
        """Judge this call by the policy of its pipeline's Tracing stage."""
        ...

    def attempt_begins(self, attempt: Attempt) -> None:
        """A request to a vendor is about to be sent."""
        ...

    def attempt_ends(self, attempt: Attempt) -> None:
        """Its answer has ended."""
        ...

    def finish(self, record: Record) -> bool:
        """The call has ended. Returns whether its trace is kept."""
        ...


class Trace:
    """All frames of one call. Sequential frames' self times add up to the call's duration to the nanosecond."""

    __slots__ = ("call_id", "clock", "consumer_ns", "end_ns", "facts", "flags", "frames", "meaning", "now_ns", "root", "span_id", "start_wall_ns", "telemetry",
                 "trace_id", "traced")  # fmt: skip

    def __init__(self, clock: Clock, *, traced: bool = False) -> None:
        self.clock = clock
        self.now_ns = clock.now_ns
        self.traced = traced
        self.root = Frame(-1, None, clock.now_ns())
        self.start_wall_ns = clock.wall_ns()
        self.frames: list[Frame] = []
        self.facts: dict[Frame, list[tuple[int, str, Any]]] = {}
        """(when, slot name, value) that were written in each frame, in the traced chain only."""
        self.consumer_ns = 0
        """Time between chunks that the consumer took."""
        self.end_ns = 0
        self.trace_id = 0
        """128 bits; 0 where nobody keeps traces."""
        self.span_id = 0
        """64 bits: the logical span's."""
        self.flags = 0
        """W3C trace flags: bit 0 sampled, bit 1 random."""
        self.call_id = ""
        """For log lines written during the call."""
        self.meaning: Meaning | None = None
        """What the Tracing stage wants shown of this call, and under which policy."""
        self.telemetry: TraceKeeper | None = None
        """What makes spans of this call, if anything does."""

    def show(self, meaning: Meaning) -> None:
        """Show this on the call's span, by the policy that comes with it."""
        self.meaning = meaning
        if self.telemetry is not None:
            self.telemetry.follow(meaning.policy)

    @property
    def duration_ns(self) -> int:
        """From the call's start to its end, the consumer's time included."""
        return self.end_ns - self.root.start_ns

    def note(self, frame: Frame, name: str, value: Any) -> None:
        """A fact was written in the frame."""
        self.facts.setdefault(frame, []).append((self.now_ns(), name, value))

    def nested_ns(self) -> list[int] | None:
        """Nanoseconds that the call itself and each stage spent, by their place in the pipeline, where each stage ran inside
        the one before it, once; None where it was otherwise. `measure` says the same of such calls, at three times the cost.
        """
        outer = self.root
        took_ns = outer.end_ns - outer.start_ns
        times_ns = []
        for frame in self.frames:
            end_ns = frame.end_ns
            if frame.parent is not outer or not end_ns or end_ns > outer.end_ns:
                return None
            inner_ns = end_ns - frame.start_ns
            times_ns.append(took_ns - inner_ns + outer.stream_ns)
            outer, took_ns = frame, inner_ns
        times_ns.append(took_ns + outer.stream_ns)
        return times_ns

    def measure(self) -> None:
        """Fill in `self_ns` of every frame: its own duration minus the union of its children's, plus its stream time.

        Children that overlap (hedging) are counted once in their parent, so that the parent's self time is never
        negative; the sum over all frames then exceeds the duration by the overlap. A frame that is still open when the
        call ends counts until then.
        """
        root = self.root
        root.self_ns = root.end_ns - root.start_ns + root.stream_ns
        root.covered_until_ns = 0
        for frame in self.frames:  # in order of their start, as they were opened: a parent comes before its children
            parent = frame.parent or root
            limit_ns = parent.end_ns or self.end_ns
            start_ns, end_ns = frame.start_ns, frame.end_ns or limit_ns
            frame.self_ns = end_ns - start_ns + frame.stream_ns
            frame.covered_until_ns = 0
            if start_ns < parent.covered_until_ns:
                start_ns = parent.covered_until_ns
            if end_ns > limit_ns:
                end_ns = limit_ns
            if end_ns > start_ns:
                parent.self_ns -= end_ns - start_ns
                parent.covered_until_ns = end_ns

    def self_times(self) -> dict[Frame, int]:
        """Nanoseconds that each frame spent itself, the call's own first."""
        self.measure()
        return {frame: frame.self_ns for frame in (self.root, *self.frames)}

    def __getstate__(self) -> dict[str, Any]:
        """What crosses process boundaries with an error's record: the times, not who kept them."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "clock": SYSTEM_CLOCK,
            "now_ns": SYSTEM_CLOCK.now_ns,
            "telemetry": None,
            "meaning": None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class Stopwatch:
    """Attributes a stream's time to whoever works: each switch books the time since the last one."""

    __slots__ = ("_current", "_last_ns", "_now", "_trace")

    def __init__(self, trace: Trace) -> None:
        """Starts with the consumer at work, at the moment the call's root frame ended."""
        self._trace = trace
        self._now = trace.clock.now_ns
        self._current: Frame | None = None
        self._last_ns = trace.root.end_ns

    def switch(self, to: Frame | None) -> Frame | None:
        """Book the time so far and go on for `to` (None: the consumer). Returns who worked until now."""
        now_ns = self._now()
        before = self._current
        if before is None:
            self._trace.consumer_ns += now_ns - self._last_ns
        else:
            before.stream_ns += now_ns - self._last_ns
        self._last_ns = now_ns
        self._current = to
        return before

    def pause(self) -> tuple[Frame | None, int]:
        """Who worked until now, and the time, from which on frames book what happens."""
        return self.switch(None), self._last_ns

    def resume(self, frame: Frame | None, at_ns: int) -> None:
        """Go on where `pause` was, from the time until which frames have booked."""
        self._current, self._last_ns = frame, at_ns

    def stop(self) -> int:
        """Book the rest; returns the time of the end."""
        self.switch(self._current)
        return self._last_ns
