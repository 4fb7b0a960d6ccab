"""Content blocks of a stream while they grow: each says what a chunk adds, and is whole in the end."""

from __future__ import annotations

import json
from typing import Any, Final

from ...pipeline.types import Delta, FunctionDelta, ReasoningDelta, ToolCallDelta
from .anthropic_assistant import CALL_EXTRAS, PROVIDER
from .anthropic_content import Block
from .anthropic_format import ANSWER_TOOL
from .anthropic_response import annotation_of
from .plain_json import json_object, write_json


class OpenBlock:
    """A block of a kind that OpenAI's shape lacks: it grows silently. `block` is whole after `stop`."""

    __slots__ = ("_pieces", "block", "index")
    is_tool = False

    def __init__(self, index: int, block: Block) -> None:
        self.index = index
        self.block = block
        self._pieces: list[str] = []

    def start(self) -> Delta | None:
        """What its beginning brings."""
        return None

    def grow(self, delta: dict[str, Any]) -> Delta | None:
        """What one more delta brings. Deltas of unknown types are merged: texts joined, other values replaced."""
        match delta:
            case {"type": "input_json_delta", "partial_json": str(piece)}:
                self._pieces.append(piece)
            case {"type": str(), **fields}:
                for name, value in fields.items():
                    known = self.block.get(name)
                    self.block[name] = known + value if isinstance(known, str) and isinstance(value, str) else value
        return None

    def stop(self, start: int) -> Delta | None:  # noqa: ARG002 - texts need it
        """What its end brings; `start` is the number of characters of text before it."""
        if text := "".join(self._pieces):
            self.block["input"] = json_object(text) or {}
        return None

    @property
    def characters(self) -> int:
        """Of text."""
        return 0


class _Text(OpenBlock):
    __slots__ = ()

    def start(self) -> Delta | None:
        return self._more(self.block["text"])

    def grow(self, delta: dict[str, Any]) -> Delta | None:
        kind = delta["type"]
        if kind == "text_delta":
            return self._more(delta["text"])
        if kind == "citations_delta":
            self.block["citations"] = [*(self.block.get("citations") or ()), delta["citation"]]
        return None

    def stop(self, start: int) -> Delta | None:
        text = self.block["text"] = "".join(self._pieces)
        cited = self.block.get("citations") or ()
        return (
            Delta(annotations=tuple(annotation_of(one, start, start + len(text)) for one in cited)) if cited else None
        )

    @property
    def characters(self) -> int:
        return len(self.block["text"])

    def _more(self, text: str) -> Delta | None:
        if not text:
            return None
        self._pieces.append(text)
        return Delta(content=text)


class _Answer(_Text):
    """The forced answer tool: its arguments are the text."""

    __slots__ = ("_input",)

    def __init__(self, index: int, block: Block) -> None:
        super().__init__(index, {"type": "text", "text": ""})
        self._input = block.get("input") or {}

    def grow(self, delta: dict[str, Any]) -> Delta | None:
        return self._more(delta["partial_json"]) if delta["type"] == "input_json_delta" else None

    def stop(self, start: int) -> Delta | None:
        if self._pieces:
            return super().stop(start)
        added = self._more(write_json(self._input).decode())
        super().stop(start)
        return added


class _Thinking(OpenBlock):
    __slots__ = ()

    def start(self) -> Delta | None:
        return self._more(self.block.get("thinking") or None, self.block.get("signature") or None)

    def grow(self, delta: dict[str, Any]) -> Delta | None:
        if delta["type"] == "thinking_delta":
            return self._more(delta["thinking"], None)
        if delta["type"] == "signature_delta":
            return self._more(None, delta["signature"])
        return super().grow(delta)

    def _more(self, text: str | None, signature: str | None) -> Delta | None:
        if text is None and signature is None:
            return None
        piece = ReasoningDelta(self.index, "thinking", text, signature, provider=PROVIDER)
        return Delta(reasoning_content=text, reasoning_blocks=(piece,))


class _Redacted(OpenBlock):
    __slots__ = ()

    def start(self) -> Delta | None:
        return Delta(
            reasoning_blocks=(
                ReasoningDelta(self.index, "redacted_thinking", data=self.block.get("data"), provider=PROVIDER),
            )
        )


class _Tool(OpenBlock):
    __slots__ = ("_number",)
    is_tool = True

    def __init__(self, index: int, block: Block, number: int) -> None:
        super().__init__(index, block)
        self._number = number

    def start(self) -> Delta | None:
        extra = {name: self.block[name] for name in CALL_EXTRAS if self.block.get(name) is not None}
        function = FunctionDelta(self.block["name"], "")
        return Delta(tool_calls=(ToolCallDelta(self._number, self.block["id"], "function", function, extra or None),))

    def grow(self, delta: dict[str, Any]) -> Delta | None:
        if delta["type"] != "input_json_delta" or not delta["partial_json"]:
            return None
        return self._more(delta["partial_json"])

    def stop(self, start: int) -> Delta | None:  # noqa: ARG002 - as above
        """Arguments that came whole with the beginning, `{}` among them, are told now."""
        return None if self._pieces else self._more(json.dumps(self.block.get("input") or {}, ensure_ascii=False))

    def _more(self, piece: str) -> Delta:
        self._pieces.append(piece)
        return Delta(tool_calls=(ToolCallDelta(self._number, function=FunctionDelta(arguments=piece)),))


_KINDS: Final[dict[str, type[OpenBlock]]] = {"text": _Text, "thinking": _Thinking, "redacted_thinking": _Redacted}


def open_block(index: int, block: Block, *, tool: int, answer_tool: bool) -> OpenBlock:
    """A block that begins; `tool` is how many tool calls came before."""
    kind = block["type"]
    if kind != "tool_use":
        return _KINDS.get(kind, OpenBlock)(index, block)
    return _Answer(index, block) if answer_tool and block.get("name") == ANSWER_TOOL else _Tool(index, block, tool)
