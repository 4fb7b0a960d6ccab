"""Finding stretches of text, in a whole text or in one that is still growing: with the same result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol


class Span(NamedTuple):
    """`text[start:end]` is a `label`."""

    start: int
    end: int
    label: str


class Scanner(Protocol):
    """Looks for one thing."""

    @property
    def trace(self) -> re.Pattern[str] | None:
        """What is found in every text that holds the thing; None where no such pattern is known."""
        ...

    def scan(self, text: str, start: int, base: int, final: bool) -> tuple[list[Span], int]:
        """Spans from `start` on that further text cannot change, and the position up to which that is decided.

        `base`: how many characters came before `text`. `final`: no further text will come, all of it is decided.
        """
        ...


Validate = Callable[[re.Match[str]], "tuple[int, int] | None"]
"""What of a match counts; None if nothing does (a wrong check digit)."""


SIGN = re.compile(r"[0-9@=:_.(+%-]|[A-Za-z]{14}")
"""One of these is in everything that the built-in detectors find: plain words need one look for all of them."""

_LONGEST_OPENING = 2048
"""Characters. No opening pattern matches more: looking further back would only take time."""

_LONGEST_UNTRACED = 64
"""Characters. What begins a match and is longer holds the detector's trace already."""

LAST_WORD = re.compile(r"[A-Za-z]++[\"']?+\s{0,3}+\Z")

LONGEST_LAST_WORD = 17
"""Characters, where there is no sign: 13 letters, a quotation mark, white space."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds matches of a pattern that pass a check.

    `opening` matches, at the end of a text, whatever may be the beginning of a match: nothing from there on is decided.
    A number says the same of that many last characters. A match that ends less than `margin` characters before the end
    may still change. To save time: `shortest` is the length of the shortest match; `ends` are the characters that an
    opening can end with (empty: any); `trace` is found in every match, and in every beginning of one that is longer than
    64 characters. Detectors may share a trace: it is then looked for once.
    """

    label: str
    pattern: re.Pattern[str]
    opening: re.Pattern[str] | int
    margin: int = 1
    shortest: int = 1
    ends: frozenset[str] = frozenset()
    trace: re.Pattern[str] | None = None
    signed: bool = False
    """Every match holds a `SIGN`, and up to its first sign it is one word, perhaps with white space behind it."""
    validate: Validate | None = None

    def scan(self, text: str, start: int, base: int, final: bool) -> tuple[list[Span], int]:  # noqa: ARG002 - patterns do not count
        """See `Scanner`."""
        traced = self.trace is None or self.trace.search(text, start) is not None
        limit = len(text) if final else self._open_from(text, start, _LONGEST_OPENING if traced else _LONGEST_UNTRACED)
        if not traced or limit <= start or len(text) - start < self.shortest:
            return [], max(start, limit)
        return self._search(text, start, limit, final)

    def _search(self, text: str, start: int, limit: int, final: bool) -> tuple[list[Span], int]:
        found: list[Span] = []
        position = start
        while (match := self.pattern.search(text, position)) is not None:
            if match.start() >= limit and not final:
                break
            if not final and match.end() + self.margin > len(text):
                limit = min(limit, match.start())
                break
            counts = match.span() if self.validate is None else self.validate(match)
            if counts is None or counts[0] == counts[1]:
                position = match.start() + 1
                if position > len(text):
                    break
            else:
                found.append(Span(counts[0], counts[1], match.lastgroup or self.label))
                position = counts[1]
        return found, max(position if found else start, limit)

    def _open_from(self, text: str, start: int, longest: int) -> int:
        if isinstance(self.opening, int):
            return max(start, len(text) - self.opening)
        if self.ends and text[-1:] not in self.ends:
            return len(text)
        opened = self.opening.search(text, max(start, len(text) - longest))
        return opened.start() if opened is not None else len(text)


@dataclass(frozen=True, slots=True)
class Excess:
    """Everything behind the first `max_chars` characters. `at_once`: say so before the text is whole."""

    max_chars: int
    label: str
    at_once: bool = False
    trace: ClassVar[None] = None

    def scan(self, text: str, start: int, base: int, final: bool) -> tuple[list[Span], int]:
        """See `Scanner`."""
        excess = max(self.max_chars - base, start)
        if len(text) <= excess:
            return [], len(text)
        if final or self.at_once:
            return [Span(excess, len(text), self.label)], len(text)
        return [], excess


def find(scanners: Iterable[Scanner], text: str) -> list[Span]:
    """All spans of a whole text."""
    return [span for scanner in scanners for span in scanner.scan(text, 0, 0, True)[0]]


def traces_of(scanners: Iterable[Scanner]) -> tuple[re.Pattern[str], ...] | None:
    """The patterns of which one is found wherever a scanner finds something; None if one of them does without."""
    traces = dict.fromkeys(scanner.trace for scanner in scanners)
    known = tuple(trace for trace in traces if trace is not None)
    return known if len(known) == len(traces) else None


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap as one, under the name of the one that begins first, or of the longer."""
    regions: list[Span] = []
    for span in sorted(spans, key=_by_start):
        if regions and span.start < regions[-1].end:
            regions[-1] = regions[-1]._replace(end=max(regions[-1].end, span.end))
        else:
            regions.append(span)
    return regions


def replaced(text: str, regions: Sequence[Span], start: int = 0, end: int | None = None) -> str:
    """`text[start:end]` with a mark instead of each region."""
    pieces: list[str] = []
    for region in regions:
        pieces += (text[start : region.start], mark(region.label))
        start = region.end
    pieces.append(text[start:end])
    return "".join(pieces)


def mark(label: str) -> str:
    """What stands in for a finding."""
    return f"[REDACTED:{label}]"


def _by_start(span: Span) -> tuple[int, int, str]:
    return span.start, -span.end, span.label
