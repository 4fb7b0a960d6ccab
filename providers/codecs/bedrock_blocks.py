"""A content block of a stream while it grows: it says what a chunk adds, and is whole in the end."""

from __future__ import annotations

from typing import Any

from ...pipeline.types import Delta, FunctionDelta, ReasoningDelta, ToolCallDelta
from .bedrock_assistant import PROVIDER, is_tool_call
from .bedrock_content import Block, kind_of
from .bedrock_response import annotation_of, is_answer
from .plain_json import json_object


class OpenBlock:
    """One block. Its kind is that of its beginning, or of its first delta: texts and reasoning have no beginning.

    `tool` is how many tool calls came before; `answer_tool` shows the forced answer tool's arguments as text.
    """

    __slots__ = ("_answer_tool", "_citations", "_index", "_native", "_pieces", "_thought", "_tool")

    def __init__(self, index: int, tool: int, *, answer_tool: bool) -> None:
        self._index = index
        self._tool = tool
        self._answer_tool = answer_tool
        self._native: Block = {}  # the beginning, of blocks that have one
        self._pieces: list[str] = []
        self._citations: list[dict[str, Any]] = []
        self._thought: Block = {}

    def start(self, start: Block) -> Delta | None:
        """What its beginning brings."""
        kind = kind_of(start)
        self._native = {kind: dict(start[kind])}
        if not self.is_tool_call:
            return None
        use = self._native["toolUse"]
        function = FunctionDelta(use["name"], "")
        return Delta(tool_calls=(ToolCallDelta(self._tool, use["toolUseId"], "function", function),))

    def grow(self, delta: Block) -> Delta | None:
        """What one more delta brings."""
        match delta:
            case {"text": str(text)}:
                return self._more_text(text)
            case {"toolUse": {"input": str(piece)}}:
                return self._more_input(piece)
            case {"reasoningContent": dict(said)}:
                return self._more_reasoning(said)
            case {"citation": dict(citation)}:
                self._citations.append(citation)
            case _:
                self._more_native(delta)
        return None

    def stop(self, start: int) -> Delta | None:
        """What its end brings; `start` is the number of characters of text before it."""
        end = start + self.characters
        if self._citations:
            return Delta(annotations=tuple(annotation_of(one, start, end) for one in self._citations))
        if self.is_tool_call and not self._pieces:
            return self._more_input("{}")
        return self._more_input("{}") if self._shows_input and not self._pieces else None

    @property
    def is_tool_call(self) -> bool:
        """Whether the caller is asked to run a tool."""
        return is_tool_call(self._native) and not self._shows_input

    @property
    def characters(self) -> int:
        """Of text."""
        return 0 if self._native and not self._shows_input else sum(map(len, self._pieces))

    @property
    def whole(self) -> Block:
        """The block as a unary call would have brought it; empty while nothing has come."""
        text = "".join(self._pieces)
        if self._thought:
            return {"reasoningContent": self._thought}
        if self._citations:
            return {"citationsContent": {"content": [{"text": text}], "citations": self._citations}}
        if "toolUse" in self._native and not self._shows_input:
            return {"toolUse": {**self._native["toolUse"], "input": json_object(text or "{}") or {}}}
        return self._native if self._native and not self._shows_input else {"text": text}

    @property
    def _shows_input(self) -> bool:
        return self._answer_tool and is_answer(self._native)

    def _more_text(self, text: str) -> Delta | None:
        self._pieces.append(text)
        return Delta(content=text) if text else None

    def _more_input(self, piece: str) -> Delta | None:
        if not piece:
            return None
        self._pieces.append(piece)
        if self._shows_input:
            return Delta(content=piece)
        if not self.is_tool_call:
            return None
        return Delta(tool_calls=(ToolCallDelta(self._tool, function=FunctionDelta(arguments=piece)),))

    def _more_reasoning(self, said: Block) -> Delta | None:
        if isinstance(data := said.get("redactedContent"), str):
            self._thought = {"redactedContent": self._thought.get("redactedContent", "") + data}
            piece = ReasoningDelta(self._index, "redacted_thinking", data=data, provider=PROVIDER)
            return Delta(reasoning_blocks=(piece,))
        text, signature = said.get("text"), said.get("signature")
        known = self._thought.setdefault("reasoningText", {})
        for name, more in (("text", text), ("signature", signature)):
            if isinstance(more, str):
                known[name] = known.get(name, "") + more
        piece = ReasoningDelta(self._index, "thinking", text, signature, provider=PROVIDER)
        return Delta(reasoning_content=text, reasoning_blocks=(piece,))

    def _more_native(self, delta: Block) -> None:
        """Lists are joined, objects merged: results of the vendor's own tools, images."""
        for kind, more in delta.items():
            known = self._native.setdefault(kind, {})
            if isinstance(more, list):
                known["content"] = [*known.get("content", ()), *more]
            elif isinstance(more, dict):
                known.update(more)
