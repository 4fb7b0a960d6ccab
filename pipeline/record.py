"""The record of a call: what happened and why, in one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from decimal import Decimal
from typing import Any

from .call import Call
from .errors import Fault, GlasswayError, Kind, error_kind
from .facts import ATTEMPTS, COST, PRIVATE, SPLICES, Attempt, Cost, Slot, Spliced, Trail
from .outcome import End, Outcome
from .trace import Frame, Trace
from .types import Usage

_new = object.__new__


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stage at work once. Times are seconds; `start_s` counts from the call's start."""

    name: str
    index: int
    depth: int
    start_s: float
    total_s: float
    self_s: float
    error: Kind | None = None


@dataclass(slots=True)
class Record:
    """Everything that is known of a call that has ended. Holds no content and no secrets."""

    call_id: str
    operation: str
    requested: str
    """The model as the caller named it."""
    end: End
    duration_s: float
    started_at_ns: int
    """Nanoseconds since 1970."""
    stream: bool
    facts: Mapping[str, Any]
    provider: str | None = None
    """The pipeline's name of the provider that answered, or that was asked last."""
    vendor: str | None = None
    """The vendor behind it, by the catalogue's name: several providers may reach the same one."""
    model: str | None = None
    trace_id: str | None = None
    tenant: str | None = None
    tags: tuple[str, ...] = ()
    usage: Usage | None = None
    error: Kind | None = None
    fault: Fault | None = None
    error_message: str | None = None
    first_chunk_s: float | None = None
    chunks: int = 0
    beside: str = ""
    """The stage that made this call beside another one; empty for a caller's call."""
    consumer_s: float = 0.0
    """Seconds that the consumer of a stream took between chunks; part of `duration_s`."""
    trace: Trace | None = field(default=None, repr=False)
    stage_names: Sequence[str] = field(default=(), repr=False)

    @property
    def stages(self) -> tuple[StageRun, ...]:
        """Each stage's runs with their times, in the order in which they began, the call itself first."""
        return stage_runs(self.trace, self.stage_names) if self.trace else ()

    @property
    def cost(self) -> Cost | None:
        """The bill; None where no `Cost` stage stands in the pipeline."""
        return self.facts.get(COST.name)

    @property
    def cost_usd(self) -> Decimal | None:
        """US dollars, failed attempts included; None means unknown."""
        return self.cost.amount_usd if self.cost else None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Requests sent to vendors, in order."""
        return tuple(self.facts.get(ATTEMPTS.name, ()))

    @property
    def request_id(self) -> str | None:
        """The vendor's id of the attempt that answered, or else of the last one."""
        attempts = self.attempts
        return next((a.request_id for a in attempts if a.useful), attempts[-1].request_id if attempts else None)

    def get(self, slot: Slot[Any]) -> Any:
        """The fact, or None; of a `Trail`, a tuple."""
        value = self.facts.get(slot.name)
        return tuple(value or ()) if isinstance(slot, Trail) else value

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data. Money is text, so that it stays exact."""
        shown = {name: value for name, value in self.facts.items() if name not in PRIVATE}
        plain: dict[str, Any] = {
            name: _plain(getattr(self, name)) for name in self.__dataclass_fields__ if name not in _NOT_SHOWN
        }
        return plain | {"cost_usd": _plain(self.cost_usd), "stages": _plain(self.stages), "facts": _plain(shown)}


_NOT_SHOWN = frozenset({"facts", "trace", "stage_names"})


def make_record(call: Call, outcome: Outcome, stage_names: Sequence[str]) -> Record:
    """The record of a call that has just ended."""
    state = call.state
    trace = state.trace
    answered = _answering(state.facts.get(ATTEMPTS.name, ()))
    error = outcome.error
    record = _new(Record)  # field by field: with so many names, the constructor takes five times as long
    record.call_id = state.id
    record.operation = call.request.operation
    record.requested = state.requested
    record.end = outcome.end
    record.stream = call.request.stream
    record.facts = state.facts
    if answered is not None:
        record.provider, record.model = answered.provider, answered.model
        record.vendor = answered.vendor or answered.provider
    else:
        record.provider, record.model = call.target
        record.vendor = call.vendor
    record.tenant = state.options.tenant
    record.tags = state.options.tags
    record.usage = _usage(call, answered, outcome)
    if error is None:
        record.error = record.fault = record.error_message = None
    else:
        record.error, record.fault, record.error_message = error_kind(error), None, type(error).__name__
        if isinstance(error, GlasswayError):
            record.fault, record.error_message = error.fault, error.message
    record.chunks = outcome.chunks
    record.beside = state.beside
    if trace is not None:
        record.duration_s = trace.duration_ns / 1e9
        record.started_at_ns = trace.start_wall_ns
        record.trace_id = f"{trace.trace_id:032x}" if trace.trace_id else None
        record.consumer_s = trace.consumer_ns / 1e9
    else:
        record.duration_s = record.consumer_s = 0.0
        record.started_at_ns = state.clock.wall_ns()
        record.trace_id = None
    record.first_chunk_s = _first_chunk_s(trace, answered)
    record.trace = trace
    record.stage_names = stage_names
    return record


def stage_runs(trace: Trace, names: Sequence[str]) -> tuple[StageRun, ...]:
    """The frames of a trace, in the order in which they began, the call itself first."""
    depths: dict[Frame, int] = {trace.root: 0}
    runs = []
    for frame, self_ns in trace.self_times().items():
        if frame.parent is not None:
            depths[frame] = depths[frame.parent] + 1
        runs.append(
            StageRun(
                name="call" if frame.index < 0 else names[frame.index],
                index=frame.index,
                depth=depths[frame],
                start_s=(frame.start_ns - trace.root.start_ns) / 1e9,
                total_s=(frame.end_ns - frame.start_ns) / 1e9,
                self_s=self_ns / 1e9,
                error=error_kind(frame.error) if frame.error else None,
            )
        )
    return tuple(runs)


def _answering(attempts: Sequence[Attempt]) -> Attempt | None:
    for attempt in attempts:
        if attempt.useful:
            return attempt
    return attempts[-1] if attempts else None


def _usage(call: Call, answered: Attempt | None, outcome: Outcome) -> Usage | None:
    """The answering attempt's; of an answer that several made together (parts, splices), the answer's."""
    spliced: Sequence[Spliced] = call.state.facts.get(SPLICES.name, ())
    together = call.state.parts is not None or (bool(spliced) and any(splice.target for splice in spliced))
    if together and outcome.response is not None:
        return outcome.response.usage
    return answered.usage if answered else None


def _first_chunk_s(trace: Trace | None, attempt: Attempt | None) -> float | None:
    if trace is None or attempt is None or attempt.first_chunk_ns is None:
        return None
    return (attempt.first_chunk_ns - trace.root.start_ns) / 1e9


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Usage):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
