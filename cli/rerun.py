"""Recorded calls asked again through another stack, and what came out differently."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from ..middlewares.cassette.essence import spoken, summary_of
from ..middlewares.cassette.masking import Mask
from ..middlewares.cassette.matching import VOLATILE
from ..pipeline.call import CallOptions
from ..pipeline.errors import ConfigError, GlasswayError
from ..pipeline.pipeline import Pipeline
from ..pipeline.stagenames import make_stage
from ..pipeline.stream import Stream

if TYPE_CHECKING:
    from pathlib import Path

    from ..middlewares.cassette import Entry, Replay
    from ..pipeline.call import Call
    from ..pipeline.config import Config
    from ..pipeline.stream import Reply
    from ..pipeline.types import Response

_HUNG_UP = frozenset({"cancelled", "closed", "abandoned"})
_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call of a cassette: its exchanges, the last of which has its summary."""

    entries: tuple[Entry, ...]

    @property
    def id(self) -> str:
        """16 hex digits."""
        return self.entries[0].call

    @property
    def summary(self) -> dict[str, Any] | None:
        """What it came to; None where the cassette does not say so, or the caller hung up: then there is nothing to compare with."""
        found = next((entry.record for entry in reversed(self.entries) if entry.record is not None), None)
        return None if found is None or found["end"] in _HUNG_UP else found

    @property
    def text(self) -> str:
        """What the vendor said last."""
        return spoken(self.entries[-1].response)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One call, before and after. Summaries are as in a cassette; `diff` is content."""

    call: str
    before: dict[str, Any]
    after: dict[str, Any]
    diff: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the same came out: the same answer, or the same kind of failure."""
        names = ("end", "error")
        same = all(self.before[name] == self.after[name] for name in names)
        return same and _digest(self.before) == _digest(self.after)

    @property
    def decided_otherwise(self) -> tuple[str, ...]:
        """The facts that differ: `retries`, `route`, `cache` ..."""
        before, after = self.before["decisions"], self.after["decisions"]
        return tuple(name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name))


@dataclass(frozen=True, slots=True)
class Totals:
    """All calls together; a sum is None if one of its parts is unknown."""

    calls: int
    equal: int
    different: int
    skipped: int
    decided_otherwise: int
    cost_usd: tuple[Decimal | None, Decimal | None]
    duration_s: tuple[float, float]


def recorded_calls(entries: Sequence[Entry]) -> list[Recorded]:
    """The calls of a cassette, in the order in which they began."""
    calls: dict[str, list[Entry]] = {}
    for entry in entries:
        calls.setdefault(entry.call, []).append(entry)
    return [Recorded(tuple(found)) for found in calls.values()]


def pipeline_of(config: Config, cassette: Path, entries: Sequence[Entry], *, speed: float, live: bool) -> Pipeline:
    """The configuration's stages in front of its own providers (`live`), or of the cassette, which then sends nothing. Raises `ConfigError`, `PlanError`."""
    dropped = {"replay"} if live else {"replay", "record"}
    stages = [stage for _, stage in config.made_stages(but=dropped)]
    if live:
        return config.pipeline(but=dropped)
    playing = {"path": str(cassette), "timing": speed, "ignore": [*VOLATILE, "target"]}
    names = list(config.providers) or list(dict.fromkeys(entry.attempt.get("provider", "none") for entry in entries))
    return Pipeline(
        [*stages, make_stage("replay", playing)],
        providers=[_StandIn(name) for name in names],
        timeout_s=config.timeout_s,
        attempts=config.attempts,
    )


class _StandIn:
    """A provider of that name that is never asked: the cassette answers before it."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, call: Call) -> Reply:  # noqa: ARG002 - what a provider takes
        raise ConfigError(f"{self.name}: nothing is sent while a cassette is played. Give --live to ask the real one.")


async def rerun(
    pipeline: Pipeline, calls: Sequence[Recorded], *, model: str | None, content: bool
) -> AsyncGenerator[Comparison | None, None]:
    """Ask again, one call after the other; yields each comparison, or None for a call that has nothing to compare with."""
    replay: Replay | None = pipeline.stages.get("Replay")  # type: ignore[assignment]  # the stage of that name
    async with pipeline:
        for call in calls:
            summary = call.summary
            if summary is None:
                yield None
                continue
            if replay is not None:
                replay.cue(call.id)
            after, text = await _ask(pipeline, call.entries[0], model)
            yield Comparison(call.id, summary, after, tuple(_diff(call.text, text)) if content else ())


async def _ask(pipeline: Pipeline, entry: Entry, model: str | None) -> tuple[dict[str, Any], str]:
    said = entry.data["request"]
    options = CallOptions(
        tenant=said.get("tenant"), tags=tuple(said.get("tags", ())), metadata=said.get("metadata", {})
    )
    request = entry.request if model is None else entry.request.but(model=model)
    response: Response | None = None
    try:
        reply = await pipeline.send(request, options)
        response = await reply.response() if isinstance(reply, Stream) else reply
        record = response.record
    except GlasswayError as error:
        record, response = error.record, getattr(error, "partial", None)
    if record is None:
        raise ConfigError("A call left no record: a stage of this configuration replaced its answer after its end.")
    return summary_of(record, response, Mask(), record.duration_s), spoken(response)


def totals_of(comparisons: Sequence[Comparison | None]) -> Totals:
    """Add up."""
    made = [each for each in comparisons if each is not None]
    equal = sum(each.equal for each in made)
    return Totals(
        calls=len(comparisons),
        equal=equal,
        different=len(made) - equal,
        skipped=len(comparisons) - len(made),
        decided_otherwise=sum(bool(each.decided_otherwise) for each in made),
        cost_usd=(_sum([each.before for each in made]), _sum([each.after for each in made])),
        duration_s=(sum(each.before["duration_s"] for each in made), sum(each.after["duration_s"] for each in made)),
    )


def plain(comparison: Comparison) -> dict[str, Any]:
    """As JSON. The digest and the size of what was said are in it, what was said only if it was asked for."""
    both = {"before": comparison.before, "after": comparison.after}
    shown = {
        "call": comparison.call,
        "equal": comparison.equal,
        "decided_otherwise": list(comparison.decided_otherwise),
        **both,
    }
    return shown | ({"diff": list(comparison.diff)} if comparison.diff else {})


def _digest(summary: dict[str, Any]) -> str | None:
    output = summary["output"]
    return output["digest"] if output is not None else None


def _sum(summaries: Sequence[dict[str, Any]]) -> Decimal | None:
    amounts = [summary["cost_usd"] for summary in summaries]
    return None if None in amounts else sum(map(Decimal, amounts), Decimal(0))


def _diff(before: str, after: str) -> Iterator[str]:
    masked = Mask().text(after)
    lines = list(unified_diff(before.splitlines(), masked.splitlines(), "recorded", "now", n=1, lineterm=""))
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"... {len(lines) - _MOST_LINES} more lines"
