"""One text that arrives in pieces: let out only as far as no rule can still object."""

from __future__ import annotations

from collections.abc import Sequence

from .judge import Armed
from .span import LAST_WORD, LONGEST_LAST_WORD, SIGN, Detector, Scanner, Span, merged, replaced, traces_of
from .tally import Tally

_CONTEXT_CHARS = 64
"""Characters that are kept behind what was let out: patterns look back at them."""

_TRIM_CHARS = 512


class _Place:
    """How far one scanner has decided."""

    __slots__ = ("armed", "position", "scanner", "signed")

    def __init__(self, armed: Armed, scanner: Scanner) -> None:
        self.armed = armed
        self.scanner = scanner
        self.position = 0
        self.signed = isinstance(scanner, Detector) and scanner.signed


class Window:
    """Holds back what may be, or may become, a finding of a rule that blocks or redacts.

    Joined, what comes out is what the whole text would have become, however it was cut into pieces.
    """

    __slots__ = (
        "_base",
        "_floor",
        "_flushed",
        "_holding",
        "_max_chars",
        "_other",
        "_out",
        "_pending",
        "_signed",
        "_tally",
        "_text",
        "_traces",
        "changed",
    )

    def __init__(self, rules: Sequence[Armed], tally: Tally, max_chars: int) -> None:
        self._tally = tally
        self._max_chars = max_chars
        places = [_Place(armed, scanner) for armed in rules for scanner in armed.scanners]
        self._signed = [place for place in places if place.signed]
        self._other = [place for place in places if not place.signed]
        self._traces = traces_of(place.scanner for place in places)
        self._holding = any(place.armed.rule.enforced for place in self._signed)
        self._floor = 0  # what those that look for signs have decided together
        self._text = ""
        self._base = 0
        self._out = 0
        self._flushed = 0
        self._pending: list[Span] = []
        self.changed = False
        """Whether anything was replaced so far."""

    @property
    def held(self) -> str:
        """What has been fed and has not come out."""
        return self._text[self._out :]

    def is_clear(self, piece: str) -> bool:
        """Whether no rule can find anything up to the end of `piece`: fed bit by bit, it would come out the same."""
        text = self._text[self._undecided() :] + piece
        if self._traces is None or self._pending or self._base + len(self._text) + len(piece) > self._max_chars:
            return False
        return all(trace.search(text) is None for trace in self._traces)

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
        before = [(place, place.position) for place in (*self._signed, *self._other)]
        floor = self._floor
        self._scan(final=True)
        for place, position in before:
            place.position = position
        self._floor = floor
        self._flushed = len(self._text)
        return self._let_out(self._flushed)

    def _scan(self, *, final: bool) -> int:
        """Run the scanners; the position up to which everything is decided."""
        decided = len(self._text)
        if self._signed:
            if final or not self._skip_words():
                self._floor = min([self._run(place, final) for place in self._signed])
            if self._holding:
                decided = self._floor
        for place in self._other:
            position = self._run(place, final)
            if place.armed.rule.enforced:
                decided = min(decided, position)
        self._tally.enforce()
        return decided

    def _run(self, place: _Place, final: bool) -> int:
        start = max(place.position, self._floor) if place.signed else place.position
        try:
            spans, place.position = place.scanner.scan(self._text, start, self._base, final)
        except Exception as error:  # noqa: BLE001 - a rule that fails is reported, and closes or opens as it is set
            self._tally.not_run(place.armed.rule, type(error).__name__)
            place.position = len(self._text)
        else:
            self._note(place.armed, spans)
        return place.position

    def _skip_words(self) -> bool:
        """Move those that look for signs over text that has none; false if it has some."""
        if SIGN.search(self._text, self._floor) is not None:
            return False
        last = LAST_WORD.search(self._text, max(self._floor, len(self._text) - LONGEST_LAST_WORD))
        self._floor = last.start() if last is not None else len(self._text)
        return True

    def _note(self, armed: Armed, spans: list[Span]) -> None:
        for span in spans:
            if span.end > self._flushed:  # else it was found by the flush
                self._tally.found(armed.rule, span.label)
                if armed.redacts:
                    self._pending.append(span._replace(start=max(span.start, self._out)))

    def _let_out(self, decided: int) -> str:
        end = max(decided, self._out)
        if not self._pending:
            piece = self._text[self._out : end]
        else:
            end, piece = self._without_findings(end)
        self._out = end
        if len(self._text) > _TRIM_CHARS:
            self._trim()
        return piece

    def _without_findings(self, end: int) -> tuple[int, str]:
        """How far the text may go out, up to `end`, and how."""
        regions = merged(self._pending)
        if regions and regions[-1].end > end:  # it may still grow, or run into another
            end = max(self._out, min(end, next(region.start for region in regions if region.end > end)))
        ready = [region for region in regions if region.end <= end]
        self._pending = [span for span in self._pending if span.start >= end]
        self.changed = self.changed or bool(ready)
        return end, replaced(self._text, ready, self._out, end)

    def _trim(self) -> None:
        """Forget what no pattern can look at any more."""
        cut = max(0, self._undecided() - _CONTEXT_CHARS)
        self._text = self._text[cut:]
        self._base += cut
        self._out -= cut
        self._flushed -= cut
        self._floor -= cut
        for place in (*self._signed, *self._other):
            place.position -= cut
        self._pending = [Span(span.start - cut, span.end - cut, span.label) for span in self._pending]

    def _undecided(self) -> int:
        """From where on rules may still look, or text is held."""
        positions = [max(place.position, self._floor) for place in self._signed]
        return min([self._out, *positions, *(place.position for place in self._other)])

    def _give_up(self) -> None:
        for place in (*self._signed, *self._other):
            self._tally.not_run(place.armed.rule, f"a text is longer than {self._max_chars} characters")
        self._signed, self._other = [], []
