"""A chat stream's chunks, with each text of each choice behind a window of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Any, Literal, NamedTuple

from ...pipeline.types import ChatChunk, ChoiceDelta, Delta, FunctionDelta, ReasoningDelta, ToolCallDelta
from .judge import Bench
from .tally import Tally
from .texts import Text
from .window import Window

TEXTS: tuple[tuple[str, Literal["reasoning", "content", "refusal"]], ...] = (
    ("reasoning_content", "reasoning"),
    ("content", "content"),
    ("refusal", "refusal"),
)


_ANSWER = ("answer", 0)


class Channel(NamedTuple):
    """One text of a stream: `place` tells tool calls, and blocks of reasoning, apart."""

    choice: int
    kind: Literal["content", "reasoning", "refusal", "arguments", "block"]
    place: int = 0

    @property
    def group(self) -> tuple[str, int]:
        """Channels of a group grow together; when another group begins, what was held of the last one goes out first."""
        if self.kind == "arguments":
            return "arguments", self.place
        return ("reasoning", 0) if self.kind in ("reasoning", "block") else _ANSWER


_CONTENT = Channel(0, "content")


class Screen:
    """Passes chunks on as the rules allow. A chunk whose text is all held back, and that holds nothing else, is left out."""

    def __init__(self, bench: Bench, tally: Tally) -> None:
        self._bench = bench
        self._tally = tally
        self._windows: dict[Channel, Window] = {}
        self._group: dict[int, tuple[str, int]] = {}
        self._last_chunk = ChatChunk()
        self._block_types: dict[Channel, str] = {}

    def take(self, block: Sequence[ChatChunk]) -> Iterator[ChatChunk]:
        """What may go out now that `block` has come. Raises `GuardrailViolation`, behind what may go out before it."""
        for only_text, group in groupby(block, _only_text):
            chunks = tuple(group)
            yield from self._run(chunks) if only_text else chain.from_iterable(map(self._any, chunks))

    def _run(self, chunks: Sequence[ChatChunk]) -> Iterator[ChatChunk]:
        """The short way, for what most chunks are."""
        self._last_chunk = chunks[0]
        if self._group.get(0) != _ANSWER:
            yield from self._regrouped(0, chunks[0].choices[0].delta)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
        for chunk, piece, text in zip(chunks, pieces, self._fed(pieces), strict=True):
            if text == piece:
                yield chunk
            elif text or chunk.extra:
                choices = (ChoiceDelta(0, Delta(None, text)),) if text else ()
                yield ChatChunk(chunk.id, chunk.model, chunk.created, choices, None, chunk.extra)

    def _fed(self, pieces: Sequence[str]) -> Iterable[str]:
        """What comes out of the window for each piece: at once, where no rule can find anything in them."""
        window, text = self._window(_CONTENT), "".join(pieces)
        if len(pieces) == 1 or not window.is_clear(text):
            return map(window.feed, pieces)
        before = window.held
        window.feed(text)
        return _shares(pieces, before, len(window.held))

    def _any(self, chunk: ChatChunk) -> list[ChatChunk]:
        self._last_chunk = chunk
        earlier: list[ChatChunk] = []
        choices = tuple(self._choice(choice, earlier) for choice in chunk.choices)
        left = tuple(
            after
            for before, after in zip(chunk.choices, choices, strict=True)
            if after == before or after != ChoiceDelta(after.index)
        )
        if left or chunk.usage is not None or chunk.extra or not chunk.choices:
            earlier.append(chunk._replace(choices=left))
        return earlier

    def finish(self) -> list[ChatChunk]:
        """What was still held: the stream is complete."""
        rest = self._flush(list(self._windows))
        for armed in self._bench.spans:
            self._tally.judged(armed.rule)
        return rest

    def _choice(self, choice: ChoiceDelta, earlier: list[ChatChunk]) -> ChoiceDelta:
        delta = choice.delta
        earlier += self._regrouped(choice.index, delta)
        changes: dict[str, Any] = {}
        for name, kind in TEXTS:
            piece = getattr(delta, name)
            if piece:
                changes[name] = self._window(Channel(choice.index, kind)).feed(piece) or None
        if delta.tool_calls:
            changes["tool_calls"] = tuple(
                call for piece in delta.tool_calls if (call := self._tool_call(choice.index, piece)) is not None
            )
        if delta.reasoning_blocks:
            changes["reasoning_blocks"] = tuple(self._block(choice.index, piece) for piece in delta.reasoning_blocks)
        if choice.finish_reason is not None:
            return self._last(choice, delta._replace(**changes), earlier)
        return choice._replace(delta=delta._replace(**changes), logprobs=None) if changes else choice

    def _last(self, choice: ChoiceDelta, delta: Delta, earlier: list[ChatChunk]) -> ChoiceDelta:
        """The choice ends: its text goes out before its finish."""
        if delta.content or delta.reasoning_content or delta.refusal or delta.tool_calls or delta.reasoning_blocks:
            earlier.append(self._chunk(choice.index, delta))
            delta = Delta()
        earlier += self._flush([channel for channel in self._windows if channel.choice == choice.index])
        return choice._replace(delta=delta, logprobs=None)

    def _regrouped(self, choice: int, delta: Delta) -> list[ChatChunk]:
        groups = [channel.group for channel in _channels(choice, delta)]
        out: list[ChatChunk] = []
        for group in groups:
            last = self._group.get(choice)
            self._group[choice] = group
            if last is not None and last != group:
                out += self._flush(
                    [channel for channel in self._windows if channel.choice == choice and channel.group == last]
                )
        return out

    def _window(self, channel: Channel) -> Window:
        window = self._windows.get(channel)
        if window is None:
            window = self._windows[channel] = Window(self._bench.spans, self._tally, self._bench.max_chars)
        return window

    def _tool_call(self, choice: int, piece: ToolCallDelta) -> ToolCallDelta | None:
        if not piece.function.arguments:
            return piece
        after = self._window(Channel(choice, "arguments", piece.index)).feed(piece.function.arguments)
        piece = piece._replace(function=piece.function._replace(arguments=after or None))
        return piece if piece != ToolCallDelta(piece.index) else None

    def _block(self, choice: int, piece: ReasoningDelta) -> ReasoningDelta:
        """A signature comes last; it is taken off a block whose text was changed, for which it does not hold."""
        channel = Channel(choice, "block", piece.index)
        self._block_types.setdefault(channel, piece.type)
        if piece.text:
            piece = piece._replace(text=self._window(channel).feed(piece.text) or None)
        if piece.signature is not None and channel in self._windows:
            window = self._windows[channel]
            rest = window.flush()
            piece = piece._replace(
                text=(piece.text or "") + rest or None, signature=None if window.changed else piece.signature
            )
        return piece

    def _flush(self, channels: Sequence[Channel]) -> list[ChatChunk]:
        rests = [(channel, self._windows[channel].flush()) for channel in channels]
        return [self._chunk(channel.choice, self._delta(channel, rest)) for channel, rest in rests if rest]

    def _chunk(self, choice: int, delta: Delta) -> ChatChunk:
        last = self._last_chunk
        return ChatChunk(last.id, last.model, last.created, (ChoiceDelta(choice, delta),))

    def _delta(self, channel: Channel, text: str) -> Delta:
        if channel.kind == "arguments":
            return Delta(tool_calls=(ToolCallDelta(channel.place, function=FunctionDelta(arguments=text)),))
        if channel.kind == "block":
            return Delta(reasoning_blocks=(ReasoningDelta(channel.place, self._block_types[channel], text),))
        if channel.kind == "reasoning":
            return Delta(reasoning_content=text)
        return Delta(content=text) if channel.kind == "content" else Delta(refusal=text)


_NOTHING_ELSE = Delta()[2:]
_NO_END = ChoiceDelta()[2:]


def _only_text(chunk: ChatChunk) -> bool:
    """Whether all that it says of choices is more text of the first."""
    if len(chunk.choices) != 1 or chunk.usage is not None:
        return False
    choice = chunk.choices[0]
    delta = choice.delta
    return bool(
        delta.content
        and delta.role is None
        and choice.index == 0
        and delta[2:] == _NOTHING_ELSE
        and choice[2:] == _NO_END
    )


def _shares(pieces: Sequence[str], before: str, held_chars: int) -> list[str]:
    """The pieces, with `before` in front of them and the last `held_chars` of all left out."""
    shares = [before + pieces[0], *pieces[1:]]
    place = len(shares)
    while held_chars:
        place -= 1
        kept = max(0, len(shares[place]) - held_chars)
        held_chars -= len(shares[place]) - kept
        shares[place] = shares[place][:kept]
    return shares


def pieces_of(chunk: ChatChunk) -> list[tuple[Channel, str]]:
    """Every piece of text in a chunk, with its channel."""
    return [pair for choice in chunk.choices for pair in _pieces(choice.index, choice.delta)]


def texts_of_stream(chunks: Sequence[ChatChunk]) -> dict[Channel, Text]:
    """The whole text of each channel."""
    joined: dict[Channel, list[str]] = {}
    for chunk in chunks:
        for channel, piece in pieces_of(chunk):
            joined.setdefault(channel, []).append(piece)
    return {
        channel: Text("reasoning" if channel.kind == "block" else channel.kind, "".join(pieces))
        for channel, pieces in joined.items()
    }


def _channels(choice: int, delta: Delta) -> list[Channel]:
    return [channel for channel, _ in _pieces(choice, delta)]


def _pieces(choice: int, delta: Delta) -> list[tuple[Channel, str]]:
    found = [(Channel(choice, kind), piece) for name, kind in TEXTS if (piece := getattr(delta, name))]
    found += [(Channel(choice, "block", block.index), block.text) for block in delta.reasoning_blocks if block.text]
    found += [
        (Channel(choice, "arguments", call.index), call.function.arguments)
        for call in delta.tool_calls
        if call.function.arguments
    ]
    return found
