"""Secrets taken out of what is written: keys by their form, keys that the call brought along, and whatever a hook takes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...pipeline.call import CallOptions
from ...pipeline.secrets import SECRET_FIELDS, covered, mask_secrets

Redact = Callable[[str], str]
"""Gets every piece of text before any of it is written; returns what may be."""

_STRUCTURE: Final = frozenset({"type", "role", "object", "finish_reason", "model"})
"""Fields whose values are a protocol's words: the hook is not asked about them."""

_SHORTEST: Final = 8
"""Characters of a value that a call brought along and that is looked for everywhere."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Takes secrets out of texts and of data made of texts."""

    redact: Redact | None = None
    exact: tuple[str, ...] = ()
    """Values that are secrets whatever they look like."""

    def of(self, options: CallOptions) -> Mask:
        """With the secrets that one call brought along: its key and its headers' values."""
        brought = [options.api_key.get_secret_value()] if options.api_key is not None else []
        brought += [str(value) for value in options.headers.values()]
        return Mask(self.redact, tuple(value for value in brought if len(value) >= _SHORTEST))

    def text(self, text: str) -> str:
        """What may be written of a text."""
        return self.redact(self._keys(text)) if self.redact is not None else self._keys(text)

    def value(self, value: Any, name: str = "") -> Any:
        """What may be written of plain data."""
        if isinstance(value, str):
            if name in SECRET_FIELDS or name.lower().replace("-", "_") in SECRET_FIELDS:
                return covered(value)
            return self._keys(value) if name in _STRUCTURE else self.text(value)
        if isinstance(value, dict):
            return {self._keys(key): self.value(item, key) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item, name) for item in value]
        return value

    def chunks(self, chunks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """What may be written of a stream's chunks. A secret that is spread over several is found too."""
        pieces: dict[tuple[Any, ...], list[tuple[dict[str, Any], str]]] = {}
        for chunk in chunks:
            for channel, holder, field in _texts(chunk):
                pieces.setdefault(channel, []).append((holder, field))
        for places in pieces.values():
            before = [holder[field] for holder, field in places]
            for (holder, field), after in zip(places, spread(before, self.text("".join(before))), strict=True):
                holder[field] = after
        return [self.value(chunk) for chunk in chunks]

    def _keys(self, text: str) -> str:
        for secret in self.exact:
            if secret in text:
                text = text.replace(secret, covered(secret))
        return mask_secrets(text)


def _texts(chunk: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any], str]]:
    """The texts of a chunk that go on in the next one: which text, what holds the piece, and under which name."""
    if isinstance(chunk.get("delta"), str):
        yield ("transcript",), chunk, "delta"
    for choice in chunk.get("choices", ()):
        delta, number = choice.get("delta", {}), choice.get("index", 0)
        for name in ("content", "reasoning_content", "refusal"):
            if isinstance(delta.get(name), str):
                yield (number, name), delta, name
        for call in delta.get("tool_calls", ()):
            function = call.get("function", {})
            if isinstance(function.get("arguments"), str):
                yield (number, "call", call.get("index")), function, "arguments"
        for block in delta.get("reasoning_blocks", ()):
            if isinstance(block.get("text"), str):
                yield (number, "block", block.get("index")), block, "text"


def spread(pieces: Sequence[str], after: str) -> list[str]:
    """`after`, which the joined pieces have become, cut as the pieces were; what has changed in length stands where it began."""
    before = "".join(pieces)
    if len(before) == len(after):
        return _cut(pieces, after)
    start = _shared(before, after)
    most = min(len(before), len(after)) - start
    tail = min(most, _shared(before[::-1], after[::-1]))
    changed = after[start : len(after) - tail]
    cut: list[str] = []
    offset = 0
    for piece in pieces:
        left = piece[: max(0, start - offset)]
        right = piece[max(0, len(before) - tail - offset) :]
        begins = offset <= start < offset + len(piece)
        cut.append(left + (changed if begins else "") + right)
        offset += len(piece)
    if start == len(before):
        cut[-1] += changed
    return cut


def _cut(pieces: Sequence[str], text: str) -> list[str]:
    cut, offset = [], 0
    for piece in pieces:
        cut.append(text[offset : offset + len(piece)])
        offset += len(piece)
    return cut


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
