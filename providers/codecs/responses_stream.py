"""A streamed answer of Responses as chunks.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...pipeline.errors import APIError, ResponseValidationError, StreamInterruptedError
from ...pipeline.types import ChatChunk, ChoiceDelta, Delta
from ..sse import Event, EventDecoder
from .plain_json import json_object
from .responses_answer import created_of, extras_of, failure, finish_of, raise_failure, usage_of
from .responses_items import layout_of
from .responses_open import Growth, OpenItem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .responses_content import Item

_DONE: Final = b"[DONE]"
"""Not OpenAI's, but of others that have this API."""

_TEXTS: Final = {
    "response.output_text.delta": ("output_text", "content_index"),
    "response.refusal.delta": ("refusal", "content_index"),
    "response.reasoning_text.delta": ("reasoning_text", "content_index"),
    "response.reasoning_summary_text.delta": ("summary_text", "summary_index"),
}
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


class ResponsesDecoder:
    """Decodes one stream. Any split of the bytes gives the same chunks: an error behind chunks is raised by the next call.

    Unknown events are passed over; items of unknown kinds are kept in `provider_blocks`.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._events = EventDecoder()
        self._id = self._model = ""
        self._created = 0
        self._growth = Growth()
        self._open: dict[int, OpenItem] = {}
        self._closed: dict[int, OpenItem] = {}
        self._indexes: dict[str, int] = {}
        self._ended = False
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[ChatChunk]:
        """Raises the class of an error event, and `ResponseValidationError` for an event that is not the vendor's."""
        if self._failure is not None:
            raise self._failure
        return self._chunks(self._events.feed(data))

    def finish(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when the event that completes the answer had not come."""
        if self._failure is not None:
            raise self._failure
        chunks = self._chunks(event for event in self._events.finish() if json_object(event.data) is not None)
        if self._failure is None and not self._ended:
            raise StreamInterruptedError(
                "Expected the stream to end with a completed response, found its end before. What had arrived is in `partial`."
            )
        return chunks

    def _chunks(self, events: Iterable[Event]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        try:
            for event in events:
                if not self._ended and event.data != _DONE:
                    chunks += self._of(event)
        except APIError as error:
            if not chunks:
                raise
            self._failure = error
        return chunks

    def _of(self, event: Event) -> list[ChatChunk]:
        if (data := json_object(event.data)) is None:
            raise _nonsense("an event with a JSON object")
        try:
            return list(self._read(data.get("type") or event.event, data))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _nonsense(f"an event with all its fields ({type(error).__name__})") from error

    def _read(self, kind: str, data: Item) -> Iterator[ChatChunk]:
        if (text := _TEXTS.get(kind)) is not None:
            item = self._open.get(self._index(data))
            delta = item.grow((text[0], data.get(text[1]) or 0), data["delta"]) if item is not None else None
            yield from self._chunk(delta)
        elif kind == "response.function_call_arguments.delta":
            item = self._open.get(self._index(data))
            yield from self._chunk(item.grow_arguments(data["delta"]) if item is not None else None)
        elif kind == "response.output_item.added":
            yield from self._added(data)
        elif kind == "response.output_item.done":
            yield from self._done(self._index(data), data["item"])
        elif kind == "response.created":
            yield self._begin(data["response"])
        elif kind in _ENDS:
            yield from self._end(data["response"])
        elif kind == "error" or ("type" not in data and data.get("error")):
            error = data.get("error")
            raise failure(error if isinstance(error, (dict, str)) and error else _flat(data))

    def _index(self, data: Item) -> int:
        """Which item an event is about; llama.cpp says it by the item's id only."""
        index = data.get("output_index")
        if index is not None:
            return int(index)
        id_ = data["item"]["id"] if "item" in data else data["item_id"]
        return self._indexes.setdefault(id_, len(self._indexes))

    def _begin(self, response: Item) -> ChatChunk:
        self._id, self._model = response.get("id") or "", response.get("model") or ""
        self._created = created_of(response)
        return self._one(ChoiceDelta(delta=Delta(role="assistant")))

    def _added(self, data: Item) -> Iterator[ChatChunk]:
        item = OpenItem(self._index(data), data["item"], self._growth)
        self._open[item.index] = item
        yield from self._chunk(item.start())

    def _done(self, index: int, item: Item) -> Iterator[ChatChunk]:
        if (grown := self._open.pop(index, None)) is None:
            grown = OpenItem(index, item, self._growth)
            yield from self._chunk(grown.start())
        self._closed[index] = grown
        for delta in grown.close(item):
            yield self._one(delta)

    def _end(self, response: Item) -> Iterator[ChatChunk]:
        raise_failure(response)
        for index, item in self._unclosed(response.get("output") or []):
            yield from self._done(index, item)
        if not self._id:
            yield self._begin(response)
        self._model = self._model or response.get("model") or ""
        self._created = self._created or created_of(response)
        self._ended = True
        layout = layout_of([self._closed[index].item for index in sorted(self._closed)], self._provider)
        extra = {"provider_blocks": tuple(layout)} if layout else None
        finish = finish_of(response, has_tools=self._growth.calls > 0)
        choice = ChoiceDelta(delta=Delta(extra=extra), **finish)
        usage = usage_of(response.get("usage"))
        yield ChatChunk(self._id, self._model, self._created, (choice,), usage, extras_of(response) or None)

    def _unclosed(self, output: list[Item]) -> list[tuple[int, Item]]:
        """The items that no event had told the end of."""
        ids = {grown.item.get("id") for grown in self._closed.values()} - {None}
        items = [(n, item) for n, item in enumerate(output) if n not in self._closed and item.get("id") not in ids]
        cut = [(n, grown.item) for n, grown in self._open.items() if n >= len(output)]
        return items + cut

    def _chunk(self, delta: ChoiceDelta | None) -> Iterator[ChatChunk]:
        if delta is not None:
            yield self._one(delta)

    def _one(self, delta: ChoiceDelta) -> ChatChunk:
        return ChatChunk(self._id, self._model, self._created, (self._signed(delta),))

    def _signed(self, delta: ChoiceDelta) -> ChoiceDelta:
        """Reasoning blocks with whose they are."""
        if not delta.delta.reasoning_blocks:
            return delta
        blocks = tuple(block._replace(provider=self._provider) for block in delta.delta.reasoning_blocks)
        return delta._replace(delta=delta.delta._replace(reasoning_blocks=blocks))


def _flat(data: Item) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in ("type", "sequence_number")}


def _nonsense(expected: str) -> ResponseValidationError:
    return ResponseValidationError(f"Expected {expected}, found something else in the stream. Is it the Responses API?")
