"""Items of a streamed answer while they grow: each says what a chunk adds, and is whole in the end.

What is told of an item is told in pieces, and once more when it is done: what the pieces lacked is made up for then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...pipeline.types import ChoiceDelta, Delta, FunctionDelta, ReasoningDelta, ToolCallDelta
from .responses_items import CALLS, PARAGRAPH, annotations_of, block_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .responses_content import Item

Place = tuple[str, int]
"""A text inside an item: the type of its part, and which of the parts of its list it is."""

_LISTS: Final = {
    "output_text": "content",
    "refusal": "content",
    "reasoning_text": "content",
    "summary_text": "summary",
}
_OF_A_BLOCK: Final = frozenset({"type", "index", "text", "data", "id", "provider"})


class Growth:
    """What the whole answer has grown to, which all its items share."""

    __slots__ = ("calls", "characters", "thought")

    def __init__(self) -> None:
        self.calls = 0
        self.characters = 0
        self.thought = False


class OpenItem:
    """One item. `item` is whole after `close`."""

    __slots__ = ("_arguments", "_call", "_growth", "_pieces", "index", "item")

    def __init__(self, index: int, item: Item, growth: Growth) -> None:
        self.index = index
        self.item = item
        self._growth = growth
        self._pieces: dict[Place, list[str]] = {}
        self._arguments: list[str] = []
        self._call = growth.calls
        growth.calls += item["type"] in CALLS

    def start(self) -> ChoiceDelta | None:
        """What its beginning tells: a function's name."""
        if self.item["type"] != "function_call":
            return None
        return self._tool(FunctionDelta(self.item["name"], ""), self.item["call_id"], "function")

    def grow(self, place: Place, piece: str) -> ChoiceDelta | None:
        """A piece of one of its texts."""
        if not piece:
            return None
        new = place not in self._pieces
        self._pieces.setdefault(place, []).append(piece)
        match place[0]:
            case "output_text":
                self._growth.characters += len(piece)
                return ChoiceDelta(delta=Delta(content=piece))
            case "refusal":
                return ChoiceDelta(delta=Delta(refusal=piece))
        apart = PARAGRAPH if new and self._growth.thought else ""
        self._growth.thought = True
        return ChoiceDelta(delta=Delta(reasoning_content=apart + piece))

    def grow_arguments(self, piece: str) -> ChoiceDelta | None:
        """A piece of a function's arguments."""
        if not piece or self.item["type"] != "function_call":
            return None
        self._arguments.append(piece)
        return self._tool(FunctionDelta(None, piece))

    def close(self, item: Item) -> Iterator[ChoiceDelta]:
        """What the whole item adds to its pieces. A text that differs from its pieces is taken as the pieces said it."""
        start = self._growth.characters - sum(map(len, self._told("output_text")))
        self.item = item
        for place in self._places(item):
            if (delta := self._make_up(place)) is not None:
                yield delta
        match item["type"]:
            case "message":
                yield from self._end_message(item, start)
            case "reasoning":
                yield ChoiceDelta(delta=Delta(reasoning_blocks=(self._block(item),)))
            case "function_call":
                yield from self._end_arguments(item)
            case "custom_tool_call":
                custom = {"custom": {"name": item["name"], "input": item["input"]}}
                yield self._tool(FunctionDelta(), item["call_id"], "custom", custom)

    def _told(self, kind: str) -> list[str]:
        return [piece for place, pieces in self._pieces.items() if place[0] == kind for piece in pieces]

    def _places(self, item: Item) -> list[Place]:
        """All texts of the item, those included that only pieces have told of."""
        if item["type"] not in ("message", "reasoning"):
            return []
        named = [
            (part["type"], index)
            for name in ("summary", "content")
            for index, part in enumerate(item.get(name) or ())
            if part["type"] in _LISTS
        ]
        return named + [place for place in self._pieces if place not in named]

    def _make_up(self, place: Place) -> ChoiceDelta | None:
        kind, index = place
        parts = self.item.get(_LISTS[kind]) or []
        if index >= len(parts):
            parts = [*parts, {"type": kind}]
            self.item = {**self.item, _LISTS[kind]: parts}
        part, name = parts[min(index, len(parts) - 1)], "refusal" if kind == "refusal" else "text"
        told, whole = "".join(self._pieces.get(place, ())), part.get(name) or ""
        if not whole.startswith(told):
            part[name] = told
            return None
        return self.grow(place, whole[len(told) :])

    def _end_message(self, item: Item, start: int) -> Iterator[ChoiceDelta]:
        if notes := tuple(annotations_of([self.item], start)):
            yield ChoiceDelta(delta=Delta(annotations=notes))
        if logprobs := [one for part in item.get("content") or () for one in part.get("logprobs") or ()]:
            yield ChoiceDelta(logprobs={"content": logprobs})

    def _end_arguments(self, item: Item) -> Iterator[ChoiceDelta]:
        told, whole = "".join(self._arguments), item.get("arguments") or ""
        if whole.startswith(told):
            rest = self.grow_arguments(whole[len(told) :])
            if rest is not None:
                yield rest

    def _block(self, item: Item) -> ReasoningDelta:
        block = block_of(self.index, self.item, "")
        extra = {name: value for name, value in block.items() if name not in _OF_A_BLOCK}
        return ReasoningDelta(
            self.index, "reasoning", block.get("text"), None, block.get("data"), item.get("id"), None, extra or None
        )

    def _tool(
        self,
        function: FunctionDelta,
        id_: str | None = None,
        kind: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ChoiceDelta:
        return ChoiceDelta(delta=Delta(tool_calls=(ToolCallDelta(self._call, id_, kind, function, extra),)))
