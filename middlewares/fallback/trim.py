"""Where a second text meets the first: what it repeats, found while it still arrives. Pure."""

from __future__ import annotations

_LONGEST = 400
"""Characters: a model repeats its last sentences, hardly more."""

_LETTERS = 2
"""Fewer letters at the seam may be chance; so may digits and signs be, in any number."""


class Overlap:
    """Takes from the beginning of a text what the text before it had already said at its end.

    Only what begins at a word there and is no mere punctuation counts as said again: `book` and `keeper` share a letter and
    no words.
    """

    __slots__ = ("_decided", "_head", "_tail")

    def __init__(self, before: str) -> None:
        self._tail = before[-_LONGEST:]
        self._head = ""
        self._decided = not self._tail

    def feed(self, piece: str) -> str:
        """What goes out now. Nothing, as long as the beginning may still turn out to be a repetition."""
        if self._decided:
            return piece
        self._head += piece
        if any(self._said(self._tail[place:]) for place in range(len(self._tail))):
            return ""
        return self.flush()

    def flush(self) -> str:
        """What was held back, without what was said before."""
        if self._decided:
            return ""
        self._decided = True
        head, self._head = self._head, ""
        return head[self._repeated(head) :]

    def _said(self, rest: str) -> bool:
        """Whether all that has come so far is only the beginning of this."""
        return len(rest) > len(self._head) and rest.startswith(self._head)

    def _repeated(self, head: str) -> int:
        for length in range(min(len(head), len(self._tail)), 0, -1):
            if self._tail.endswith(head[:length]) and self._is_speech(length):
                return length
        return 0

    def _is_speech(self, length: int) -> bool:
        start = len(self._tail) - length
        at_word = start == 0 or not (self._tail[start - 1].isalnum() and self._tail[start].isalnum())
        return at_word and sum(map(str.isalpha, self._tail[start:])) >= _LETTERS


class Repeat:
    """Takes from the beginning of a text the whole of the text before it, if it says that again."""

    __slots__ = ("_before", "_head", "repeats")

    def __init__(self, before: str) -> None:
        self._before = before
        self._head = ""
        self.repeats: bool | None = None if before else True
        """Whether it does; None while that is open."""

    def feed(self, piece: str) -> str:
        """What goes out now: nothing while it is open, then what has come, without what was said before if it is."""
        if self.repeats is not None:
            return piece
        self._head += piece
        if len(self._head) < len(self._before):
            if not self._before.startswith(self._head):
                self.repeats = False
            return "" if self.repeats is None else self._head
        self.repeats = self._head.startswith(self._before)
        return self._head[len(self._before) :] if self.repeats else self._head
