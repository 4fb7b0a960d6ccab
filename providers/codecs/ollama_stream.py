"""A streamed answer of the server, a line of JSON for each piece, as chunks.

Source: https://docs.ollama.com/api/streaming
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...pipeline.call import Call
from ...pipeline.errors import APIError, StreamInterruptedError
from ...pipeline.types import ChatChunk, ChoiceDelta, Delta, FunctionDelta, ToolCallDelta
from .ollama_errors import body_error
from .ollama_lines import LineDecoder
from .ollama_response import created_s, finish_of, message_of, no_answer
from .ollama_tools import call_fields
from .ollama_usage import durations_of, usage_of
from .plain_json import json_object

Json = dict[str, Any]


class OllamaDecoder:
    """Decodes one stream. Any split of the bytes gives the same chunks: an error behind chunks is raised by the next call.

    The line with `"done": true` tells a complete answer from a cut one.
    """

    def __init__(self, call: Call, provider: str) -> None:
        self._call = call
        self._provider = provider
        self._lines = LineDecoder()
        self._created: int | None = None
        self._tools = 0
        self._done = False
        self._failure: APIError | None = None

    def feed(self, data: bytes) -> Sequence[ChatChunk]:
        """Raises the class of an error line, and `ResponseValidationError` for a line that is not the server's."""
        if self._failure is not None:
            raise self._failure
        return self._chunks(self._lines.feed(data))

    def finish(self) -> Sequence[ChatChunk]:
        """Raises `StreamInterruptedError` when the line that ends an answer had not come."""
        if self._failure is not None:
            raise self._failure
        chunks = self._chunks(line for line in self._lines.finish() if json_object(line) is not None)
        if self._failure is None and not self._done:
            raise StreamInterruptedError(
                "Expected the stream to end with a line that says `done`, found its end before. Try again, or ask for less.",
                provider=self._provider,
            )
        return chunks

    def _chunks(self, lines: Iterable[bytes]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        try:
            for line in lines:
                if not self._done:
                    chunks.append(self._chunk(line))  # noqa: PERF401 - an error must not lose the chunks before it
        except APIError as error:
            if not chunks:
                raise
            self._failure = error
        return chunks

    def _chunk(self, line: bytes) -> ChatChunk:
        data = json_object(line)
        if data is None:
            raise no_answer(self._provider, "a line with a JSON object")
        if "error" in data:
            raise body_error(data, self._provider)
        try:
            return self._read(data)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise no_answer(self._provider, "a line with all its fields") from error

    def _read(self, data: Json) -> ChatChunk:
        made = str(data.get("created_at") or "")
        if self._created is None:
            self._created = created_s(made, self._call)
        delta = self._delta(message_of(data), made)
        logprobs = {"content": data["logprobs"]} if data.get("logprobs") else None
        model = data.get("model") or self._call.target.model
        if not data["done"]:
            return ChatChunk("", model, self._created, (ChoiceDelta(delta=delta, logprobs=logprobs),))
        self._done = True
        native = data.get("done_reason")
        choice = ChoiceDelta(0, delta, finish_of(native, has_tools=self._tools > 0), native, logprobs)
        return ChatChunk("", model, self._created, (choice,), usage_of(data, self._call), durations_of(data) or None)

    def _delta(self, message: Json, made: str) -> Delta:
        calls = [self._tool(call, made) for call in message.get("tool_calls") or ()]
        content = message.get("content")
        return Delta(message.get("role"), content, message.get("thinking") or None, tool_calls=calls)

    def _tool(self, call: Json, made: str) -> ToolCallDelta:
        """Calls come whole. Their `index` is not used: old servers have none, some begin anew with each line."""
        fields = call_fields(call, self._tools, made)
        index, self._tools = self._tools, self._tools + 1
        return ToolCallDelta(index, fields["id"], fields["type"], FunctionDelta(**fields["function"]))
