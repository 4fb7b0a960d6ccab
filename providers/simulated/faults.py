"""Faults on request: which requests fail, and how.

A fault can be asked for in three places, read in this order; the first that is due is injected:

1. the request header `x-simulated-fault: rate_limit;retry_after_s=2;times=2`,
2. the model's name: `gpt-sim@fail=rate_limit,times=2` (answers name the model `gpt-sim`),
3. the vendor's own plan: `SimulatedVendor(faults=[Fault("cut", after_chunks=3, times=1)])`.

The text syntax is a list separated by `;` or `,`: a word names a kind and starts a fault, `name=value` sets a
field of the fault before it. So `rate_limit,times=2,cut,after_chunks=3` is a rate limit twice, then a cut stream.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from .lru import LRU

if TYPE_CHECKING:
    from collections.abc import Sequence

FaultKind: TypeAlias = Literal[
    "rate_limit",
    "server_error",
    "overloaded",
    "slow_first_chunk",
    "stall",
    "cut",
    "malformed_event",
    "missing_usage",
    "error_event",
    "html_502",
    "truncated_json",
    "refuse_connection",
    "duplicate_terminator",
]

_KINDS = get_args(FaultKind)
_MOST_COUNTERS = 1024
_MODEL_SUFFIX = "@fail="


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    | kind | what the client sees |
    | --- | --- |
    | `rate_limit` | 429 with `retry-after` and `retry-after-ms` of `retry_after_s` |
    | `server_error` | `status` (500, 502 or 503) in the vendor's error shape |
    | `overloaded` | Anthropic 529 `overloaded_error`, OpenAI 503 |
    | `html_502` | a proxy's 502 page instead of JSON |
    | `refuse_connection` | no answer at all: the connection is reset |
    | `slow_first_chunk` | `for_s` before the first chunk (a complete answer: before its headers) |
    | `stall` | `for_s` of silence after `after_chunks` events (a complete answer: in mid-body) |
    | `cut` | the connection drops after `after_chunks` events (in mid-body) |
    | `malformed_event` | event `after_chunks` is broken JSON (a complete answer: as `truncated_json`) |
    | `truncated_json` | a complete answer ends in the middle, well-framed (a stream: as `malformed_event`) |
    | `error_event` | an error inside the 200 stream after `after_chunks` events (a complete answer: a 500) |
    | `missing_usage` | no usage anywhere |
    | `duplicate_terminator` | the stream's terminator twice (a complete answer is unharmed) |

    Events count from the start of the stream and `after_chunks` never reaches past the content, so a cut stream
    has no finish reason. `times` limits how often the fault strikes, `every` lets it strike every n-th request,
    `model` is a shell pattern for the models that it strikes; `None` means no limit.

    Raises `ValueError` when a value is out of range.
    """

    kind: FaultKind
    times: int | None = None
    every: int | None = None
    model: str | None = None
    status: int = 500
    retry_after_s: float = 1.0
    after_chunks: int = 4
    for_s: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; expected one of {', '.join(_KINDS)}")
        if self.status not in (500, 502, 503):
            raise ValueError(f"a fault's status must be 500, 502 or 503, found {self.status}")
        counts = [count for count in (self.times, self.every) if count is not None]
        if min(self.after_chunks, self.for_s, self.retry_after_s) < 0 or min(counts, default=1) < 1:
            raise ValueError(f"expected times and every >= 1, everything else >= 0, found {self!r}")


def parse_faults(text: str) -> tuple[Fault, ...]:
    """The faults that `text` asks for, in the syntax above.

    Raises `ValueError` naming the part that cannot be read.
    """
    groups: list[list[str]] = []
    for part in filter(None, (part.strip() for part in re.split("[;,]", text))):
        if "=" not in part:
            groups.append([part])
        elif not groups:
            raise ValueError(f"expected a fault's kind before {part!r}; one of {', '.join(_KINDS)}")
        else:
            groups[-1].append(part)
    return tuple(_fault(kind, settings) for kind, *settings in groups)


def split_model(model: str) -> tuple[str, tuple[Fault, ...]]:
    """A model's bare name, and the faults that its suffix asks for.

    Raises `ValueError` when the suffix cannot be read.
    """
    name, suffix, faults = model.partition(_MODEL_SUFFIX)
    return (name, parse_faults(faults)) if suffix else (model, ())


@dataclass(slots=True)
class FaultPlan:
    """Decides which fault strikes a request.

    `times` and `every` are counted per fault, model and scenario (the `x-simulated-scenario` header), so that
    independent clients can each see "fails twice, then succeeds". The counters are bounded: of many scenarios
    the longest unused is forgotten.
    """

    faults: Sequence[Fault] = ()
    _counters: LRU[tuple[Fault, str, str, str], _Counter] = field(default_factory=lambda: LRU(_MOST_COUNTERS))

    def strike(self, model: str, scenario: str = "", requested: Sequence[Fault] = ()) -> Fault | None:
        """The fault for this request, counted: first of the `requested`, then of the plan's own."""
        places = [("requested", at, fault) for at, fault in enumerate(requested)]
        places += [("planned", at, fault) for at, fault in enumerate(self.faults)]
        for source, position, fault in places:
            if fault.model is None or fnmatchcase(model, fault.model):
                key = (fault, f"{source}/{position}", model, scenario)
                if self._counters.setdefault(key, _Counter()).due(fault):
                    return fault
        return None


@dataclass(slots=True)
class _Counter:
    seen: int = 0
    struck: int = 0

    def due(self, fault: Fault) -> bool:
        self.seen += 1
        if (fault.times is not None and self.struck >= fault.times) or self.seen % (fault.every or 1):
            return False
        self.struck += 1
        return True


_READERS = {"int": int, "float": float, "str": str}


def _fault(kind: str, settings: Sequence[str]) -> Fault:
    readers = {entry.name: _READERS[str(entry.type).removesuffix(" | None")] for entry in fields(Fault)[1:]}
    values: dict[str, int | float | str] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name.strip() not in readers:
            raise ValueError(
                f"unknown setting {name.strip()!r} of fault {kind!r}; expected one of {', '.join(readers)}"
            )
        try:
            values[name.strip()] = readers[name.strip()](value.strip())
        except ValueError:
            raise ValueError(f"setting {name.strip()!r} of fault {kind!r} cannot be {value.strip()!r}") from None
    return Fault(kind, **values)  # type: ignore[arg-type]  # names and types were read from the fields above
