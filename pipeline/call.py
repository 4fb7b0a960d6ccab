"""A call: one request on its way through the chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

from pydantic import SecretStr

from .clock import SYSTEM_CLOCK, Clock
from .errors import APITimeoutError
from .facts import Attempt, Slot, ToolRan, Trail, TranslationPolicy
from .ids import random_id
from .trace import Frame, Trace
from .types import Request

if TYPE_CHECKING:
    from .beside import Host
    from .outcome import Outcome
    from .record import Record

T = TypeVar("T")

_new = object.__new__
_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor


class Target(NamedTuple):
    """Where a call goes. `provider` None means the pipeline's first provider."""

    provider: str | None
    model: str

    @classmethod
    def parse(cls, text: str, known: Mapping[str, Any] | frozenset[str] = frozenset()) -> Target:
        """`vendor/model`. A first part that is not in `known` belongs to the model's name (`meta-llama/Llama-3`), and a model
        without a vendor to the first of `known`.
        """
        head, slash, tail = text.partition("/")
        parts = (head, tail) if slash and head in known else (next(iter(known), None), text)
        return _new_tuple(cls, parts)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}" if self.provider else self.model


@dataclass(frozen=True)
class CallOptions:
    """What the caller says beside the request. Nothing of it is sent upstream as a parameter."""

    timeout_s: float | None = None
    """Everything together: queueing, retries, fallbacks, the whole stream."""
    retries: int | None = None
    """How often `Retry` may try again; 0 switches it off, None leaves it to the stage."""
    tenant: str | None = None
    """Separates caches, limits, budgets and costs."""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    api_key: SecretStr | None = None
    base_url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers for the vendor."""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """A vendor's own settings (`api_version`, `region`, `project` ...)."""
    cache: Mapping[str, Any] = field(default_factory=dict)
    """`no_cache`, `no_store`, `ttl_s` for this call."""
    translation: TranslationPolicy | None = None
    """What happens when the vendor cannot take a parameter as it is; None leaves it to the provider, whose default is `warn`."""
    ran: tuple[ToolRan, ...] = ()
    """Tools whose results the request brings back: facts of the call."""
    traceparent: str | None = None
    """W3C trace context of the caller, where it does not come from the current OpenTelemetry context."""
    route: object | None = None
    """What the model's name stands for where that is more than one target: a `Group`, which the Router stage reads."""


NO_OPTIONS = CallOptions()

for _name in ("metadata", "headers", "settings", "cache"):
    setattr(CallOptions, _name, getattr(NO_OPTIONS, _name))  # made for each object by its constructor, and here for all


def options_of(changes: Mapping[str, Any]) -> CallOptions:
    """`CallOptions(**changes)`, in a tenth of its time: a frozen object's own constructor looks each field up to set it.

    What is not among the changes is the class's.
    """
    made = _new(CallOptions)
    made.__dict__.update(changes)
    return made


class AttemptWatcher(Protocol):
    """What is told of each request to a vendor, in the call's own thread or in that of a finaliser. It must not wait or raise."""

    def attempt_began(self, attempt: Attempt) -> None: ...

    def attempt_ended(self, attempt: Attempt) -> None: ...


@runtime_checkable
class Circuits(Protocol):
    """A stage that knows which targets are not tried for now. `circuit_open` is false again once a trial call may pass."""

    def circuit_open(self, call: Call, target: Target) -> bool: ...


class CallState:
    """What all views of one call share."""

    __slots__ = (
        "attempts_left",
        "attempts_made",
        "beside",
        "circuits",
        "clock",
        "dry_run",
        "facts",
        "finished",
        "host",
        "id",
        "known",
        "options",
        "parts",
        "recorded",
        "request",
        "requested",
        "trace",
        "watchers",
    )

    def __init__(
        self,
        requested: str,
        options: CallOptions,
        clock: Clock,
        known: Mapping[str, str] | frozenset[str],
        attempt_budget: int,
        trace: Trace | None,
        dry_run: bool,
        circuits: Sequence[Circuits] = (),
        host: Host | None = None,
        beside: str = "",
    ) -> None:
        self.id = f"{random_id(64):016x}"
        self.requested = requested
        self.request: Request | None = None
        """The request as stages have last made it; what a guardrail took out is not in it."""
        self.options = options
        self.clock = clock
        self.known = known
        """Names of the pipeline's providers, and the vendor that each of them reaches."""
        self.attempts_left = attempt_budget
        self.attempts_made = 0
        self.trace = trace
        self.dry_run = dry_run
        self.facts: dict[str, Any] = {}
        self.recorded: list[Callable[[Record, Outcome], object]] = []
        self.finished = False
        self.circuits = circuits
        self.host = host
        self.beside = beside
        self.watchers: list[AttemptWatcher] = []
        self.parts: tuple[Request, Target, list[Any]] | None = None
        """Answers to parts of a request that is too large for one: what a retry need not send again."""


class Limits(NamedTuple):
    """Time limits of one attempt, seconds; None means only the deadline limits it."""

    connect_s: float | None = None
    first_chunk_s: float | None = None
    """From sending to the first chunk of a stream, or to the whole of a unary answer."""
    between_chunks_s: float | None = None


NO_LIMITS = Limits()

Reason = Literal["first", "retry", "fallback", "hedge"]


class Call:
    """A request with its deadline, its options and its facts.

    Views of one call share options and facts; `with_request`, `with_target`, `within` ... make another view, which a
    stage hands on to `call_next`. A view is immutable.
    """

    __slots__ = ("attempt", "deadline_ns", "frame", "limits", "reason", "request", "state", "target")

    def __init__(
        self,
        request: Request,
        target: Target,
        deadline_ns: int | None,
        state: CallState,
        frame: Frame | None,
        limits: Limits = NO_LIMITS,
        reason: Reason = "first",
        attempt: Attempt | None = None,
    ) -> None:
        self.request = request
        self.target = target
        self.deadline_ns = deadline_ns
        self.state = state
        self.frame = frame
        self.limits = limits
        self.reason = reason
        self.attempt = attempt
        """The request to a vendor that this view is, inside a provider; None elsewhere."""

    @classmethod
    def start(
        cls,
        request: Request,
        *,
        options: CallOptions = NO_OPTIONS,
        clock: Clock = SYSTEM_CLOCK,
        known: Mapping[str, str] | frozenset[str] = frozenset(),
        attempt_budget: int = 10,
        timeout_s: float | None = None,
        trace: Trace | None = None,
        dry_run: bool = False,
        circuits: Sequence[Circuits] = (),
        host: Host | None = None,
        beside: str = "",
    ) -> Self:
        """A new call. `timeout_s` is the default for calls whose options give none."""
        model = request.model
        state = CallState(model, options, clock, known, attempt_budget, trace, dry_run, circuits, host, beside)
        limit_s = options.timeout_s if options.timeout_s is not None else timeout_s
        deadline_ns = None if limit_s is None else clock.now_ns() + int(limit_s * 1e9)
        return cls(request, Target.parse(model, known), deadline_ns, state, trace.root if trace else None)

    # -- what it is about

    @property
    def id(self) -> str:
        """16 hex digits, the same for all views of the call."""
        return self.state.id

    @property
    def options(self) -> CallOptions:
        """What the caller said beside the request."""
        return self.state.options

    @property
    def vendor(self) -> str | None:
        """The vendor that the target's provider reaches, by the catalogue's name: what prices go by. None for a bare model name."""
        return self.vendor_of(self.target)

    def vendor_of(self, target: Target) -> str | None:
        """The same for another target."""
        name, known = target.provider, self.state.known
        return name if name is None or isinstance(known, frozenset) else known.get(name, name)

    @property
    def tenant(self) -> str | None:
        """Whose call it is."""
        return self.state.options.tenant

    @property
    def clock(self) -> Clock:
        """The time that holds for this call; stages wait with it."""
        return self.state.clock

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be dispatched, stored or charged."""
        return self.state.dry_run

    @property
    def beside(self) -> str:
        """The stage that makes this call beside another one, whose caller knows nothing of it; empty for a caller's call."""
        return self.state.beside

    def when_recorded(self, observer: Callable[[Record, Outcome], object]) -> None:
        """Run `observer(record, outcome)` once, when the call has ended and its record is complete. It must not wait."""
        self.state.recorded.append(observer)

    def watch_attempts(self, watcher: AttemptWatcher) -> None:
        """Tell `watcher` of every request that this call sends to a vendor from now on."""
        self.state.watchers.append(watcher)

    def circuit_open(self, target: Target) -> bool:
        """Whether a stage of this pipeline lets no call to `target` pass for now."""
        return any(stage.circuit_open(self, target) for stage in self.state.circuits)

    def resolve(self, text: str) -> Target:
        """`vendor/model` as a target among the pipeline's providers."""
        return Target.parse(text, self.state.known)

    # -- views

    def with_request(self, request: Request) -> Call:
        """The same call, asking something else downstream. The target stays."""
        view = self._view()
        view.request = self.state.request = request
        return view

    def with_target(self, target: Target) -> Call:
        """The same call, to another provider or model."""
        view = self._view()
        view.target = target
        return view

    def within(self, seconds: float) -> Call:
        """The same call with at most `seconds` from now: a deadline only ever moves nearer."""
        deadline_ns = self.clock.now_ns() + int(seconds * 1e9)
        if self.deadline_ns is not None and self.deadline_ns <= deadline_ns:
            return self
        view = self._view()
        view.deadline_ns = deadline_ns
        return view

    def with_limits(self, limits: Limits) -> Call:
        """The same call with tighter limits for each attempt; a limit that is None, or looser, changes nothing."""
        view = self._view()
        view.limits = limits if self.limits is NO_LIMITS else Limits(*map(_tighter, self.limits, limits))
        return view

    def because(self, reason: Reason) -> Call:
        """The same call, and why its next attempt is made."""
        view = self._view()
        view.reason = reason
        return view

    def inside(self, index: int, trace: Trace) -> Call:
        """The same call inside the stage at this place of the pipeline, whose frame begins now."""
        # both slot by slot and in one function, because each stage of each call does this
        frame = _new(Frame)
        frame.index = index
        frame.parent = self.frame
        frame.end_ns = frame.stream_ns = 0
        frame.error = None
        view = _new(Call)
        view.request = self.request
        view.target = self.target
        view.deadline_ns = self.deadline_ns
        view.state = self.state
        view.frame = frame
        view.limits = self.limits
        view.reason = self.reason
        view.attempt = self.attempt
        trace.frames.append(frame)
        frame.start_ns = trace.now_ns()
        return view

    def in_frame(self, frame: Frame) -> Call:
        """The same call, inside a stage's frame."""
        view = self._view()
        view.frame = frame
        return view

    def in_attempt(self, attempt: Attempt) -> Call:
        """The same call, as one request to a vendor."""
        view = self._view()
        view.attempt = attempt
        return view

    def _view(self) -> Call:
        # slot by slot: half the time of a constructor with eight arguments
        view = _new(Call)
        view.request = self.request
        view.target = self.target
        view.deadline_ns = self.deadline_ns
        view.state = self.state
        view.frame = self.frame
        view.limits = self.limits
        view.reason = self.reason
        view.attempt = self.attempt
        return view

    # -- time

    def remaining_s(self) -> float | None:
        """Seconds until the deadline, not below 0; None without one."""
        if self.deadline_ns is None:
            return None
        left_ns = self.deadline_ns - self.state.clock.now_ns()
        return left_ns / 1e9 if left_ns > 0 else 0.0

    def check_deadline(self) -> None:
        """Raises `APITimeoutError` if the deadline has passed."""
        if self.deadline_ns is not None and self.state.clock.now_ns() >= self.deadline_ns:
            raise APITimeoutError(
                "The call's deadline passed. Give it more time (timeout_s) or try fewer times.",
                model=str(self.target),
                retryable=False,
            )

    # -- facts

    def set(self, slot: Slot[T], value: T) -> None:
        """Write a fact; a later one replaces it."""
        state = self.state
        state.facts[slot.name] = value
        if state.trace is not None and state.trace.traced:
            self._note(slot.name, value)

    def get(self, slot: Slot[T]) -> T | None:
        """The fact, or None."""
        return self.state.facts.get(slot.name)

    def add(self, trail: Trail[T], value: T) -> None:
        """Append to a trail of facts."""
        state = self.state
        state.facts.setdefault(trail.name, []).append(value)
        if state.trace is not None and state.trace.traced:
            self._note(trail.name, value)

    def extend(self, trail: Trail[T], values: Sequence[T]) -> None:
        """Append several at once."""
        self.state.facts.setdefault(trail.name, []).extend(values)
        if self.state.trace is not None and self.state.trace.traced:
            for value in values:
                self._note(trail.name, value)

    def trail(self, trail: Trail[T]) -> tuple[T, ...]:
        """All facts of a trail, in order."""
        return tuple(self.state.facts.get(trail.name, ()))

    def _note(self, name: str, value: Any) -> None:
        """On the frame, for the trace."""
        frame, trace = self.frame, self.state.trace
        if trace is not None and frame is not None:
            trace.note(frame, name, value)


def _tighter(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
