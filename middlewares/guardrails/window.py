"""One text that arrives in pieces: let out only as far as no rule can still object."""

from __future__ import annotations

from collections.abc import Sequence

from .judge import Armed
from .span import Scanner, Span, merged, replaced
from .tally import Tally

_CONTEXT_CHARS = 64
"""Characters that are kept behind what was let out: patterns look back at them."""


class _Place:
    """How far one scanner has decided."""

    __slots__ = ("armed", "position", "scanner")

    def __init__(self, armed: Armed, scanner: Scanner) -> None:
        self.armed = armed
        self.scanner = scanner
        self.position = 0


class Window:
    """Holds back what may be, or may become, a finding of a rule that blocks or redacts.

    Joined, what comes out is what the whole text would have become, however it was cut into pieces.
    """

    __slots__ = ("_base", "_flushed", "_max_chars", "_out", "_pending", "_places", "_tally", "_text", "changed")

    def __init__(self, rules: Sequence[Armed], tally: Tally, max_chars: int) -> None:
        self._tally = tally
        self._max_chars = max_chars
        self._places = [_Place(armed, scanner) for armed in rules for scanner in armed.scanners]
        self._text = ""
        self._base = 0
        self._out = 0
        self._flushed = 0
        self._pending: list[Span] = []
        self.changed = False
        """Whether anything was replaced so far."""

    def feed(self, piece: str) -> str:
        """What may go out now. Raises `GuardrailViolation` when a rule that blocks has found something."""
        self._text += piece
        if self._base + len(self._text) > self._max_chars:
            self._give_up()
        return self._let_out(self._scan(final=False))

    def flush(self) -> str:
        """The rest, taken as the end. More may follow all the same: what reaches back into this is still found, and
        of it what has not gone out is replaced or blocked.
        """
        before = [(place, place.position) for place in self._places]
        self._scan(final=True)
        for place, position in before:
            place.position = position
        self._flushed = len(self._text)
        return self._let_out(self._flushed)

    def _scan(self, *, final: bool) -> int:
        """Run every scanner; the position up to which everything is decided."""
        decided = len(self._text)
        for place in list(self._places):
            try:
                spans, place.position = place.scanner.scan(self._text, place.position, self._base, final)
            except Exception as error:  # noqa: BLE001 - a rule that fails is reported, and closes or opens as it is set
                self._places.remove(place)
                self._tally.not_run(place.armed.rule, type(error).__name__)
                continue
            self._note(place.armed, spans)
            if place.armed.rule.enforced:
                decided = min(decided, place.position)
        self._tally.enforce()
        return decided

    def _note(self, armed: Armed, spans: list[Span]) -> None:
        for span in spans:
            if span.end > self._flushed:  # else it was found by the flush
                self._tally.found(armed.rule, span.label)
                if armed.redacts:
                    self._pending.append(span._replace(start=max(span.start, self._out)))

    def _let_out(self, decided: int) -> str:
        end = max(decided, self._out)
        regions = merged(self._pending)
        if regions and regions[-1].end > end:  # it may still grow, or run into another
            end = max(self._out, min(end, next(region.start for region in regions if region.end > end)))
        ready = [region for region in regions if region.end <= end]
        self._pending = [span for span in self._pending if span.start >= end]
        self.changed = self.changed or bool(ready)
        piece = replaced(self._text, ready, self._out, end)
        self._out = end
        self._trim()
        return piece

    def _trim(self) -> None:
        """Forget what no pattern can look at any more."""
        low = min((place.position for place in self._places), default=self._out)
        cut = min(low, self._out) - _CONTEXT_CHARS
        if cut > _CONTEXT_CHARS:
            self._text = self._text[cut:]
            self._base += cut
            self._out -= cut
            self._flushed -= cut
            for place in self._places:
                place.position -= cut
            self._pending = [Span(span.start - cut, span.end - cut, span.label) for span in self._pending]

    def _give_up(self) -> None:
        for place in self._places:
            self._tally.not_run(place.armed.rule, f"a text is longer than {self._max_chars} characters")
        self._places.clear()
