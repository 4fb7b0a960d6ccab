"""The exchanges of a cassette, dealt out: each request gets its recordings in the order in which they were made."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

from .entry import Entry
from .matching import Matcher, Question, differences, likeness, told

Repeat = Literal["last", "raise"]
"""What a request gets that is asked more often than it was recorded: the last recording again, or an error."""


class Deck:
    """Threads may share it."""

    def __init__(self, entries: Sequence[Entry], matcher: Matcher, repeat: Repeat) -> None:
        self._entries = [entry for entry in entries if entry.playable]
        self._questions = [matcher.question(entry.request, entry.target, masked=True) for entry in self._entries]
        self._places: dict[str, list[int]] = {}
        for place, question in enumerate(self._questions):
            self._places.setdefault(question.key, []).append(place)
        self._repeat = repeat
        self._played: set[int] = set()
        self._from = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def deal(self, question: Question, *, peek: bool = False) -> Entry | None:
        """The next recording of this request; None if there is none, or no further one. `peek` leaves it in the deck."""
        with self._lock:
            places = self._places.get(question.key, ())
            fresh = next((place for place in places if place >= self._from and place not in self._played), None)
            if fresh is None:
                return self._entries[places[-1]] if places and self._repeat == "last" else None
            if not peek:
                self._played.add(fresh)
            return self._entries[fresh]

    def cue(self, call: str) -> None:
        """Go on at this call's recordings: those before it count as played, it and those behind it as not."""
        place = next((place for place, entry in enumerate(self._entries) if entry.call == call), None)
        if place is not None:
            with self._lock:
                self._from = place
                self._played = {played for played in self._played if played < place}

    def why_not(self, question: Question) -> str:
        """Why there is nothing to deal: how often it was recorded, or how the nearest request differs. No content is in it."""
        times = len(self._places.get(question.key, ()))
        if times:
            return f"it was recorded {times} times and all are played. Record more, or set repeat='last'."
        if not self._entries:
            return "the cassette holds nothing that could be played."
        nearest = max(
            range(len(self._questions)), key=lambda place: likeness(question.plain, self._questions[place].plain)
        )
        paths = differences(question.plain, self._questions[nearest].plain)
        return (
            f"the nearest is exchange {self._entries[nearest].number}, which differs in: {told(paths)}. "
            "Record it again, or put what changes from run to run into `ignore`."
        )
