"""Chunks, responses, requests and errors as plain data that a person can read, and back. Nothing is lost on the way.

Of a chunk only the fields that differ from their defaults are written; fields that all chunks of a stream share stand once, in
its head; a chunk that adds nothing but text is that text.
"""

from __future__ import annotations

import builtins
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...pipeline import errors
from ...pipeline.errors import APIError, GlasswayError
from ...pipeline.types import (
    Assemble,
    ChatChunk,
    ChoiceDelta,
    Delta,
    FunctionDelta,
    ImageChunk,
    ReasoningDelta,
    Request,
    Response,
    SpeechChunk,
    ToolCallDelta,
    TranscriptionChunk,
    Usage,
    assemble_chat,
    assemble_image,
    assemble_speech,
    assemble_transcription,
)

Plain = dict[str, Any]
"""What JSON can hold."""

CHUNKS: Mapping[str, type[Any]] = {
    "chat": ChatChunk,
    "image": ImageChunk,
    "speech": SpeechChunk,
    "transcription": TranscriptionChunk,
}
ASSEMBLE: Mapping[str, Assemble] = {
    "chat": assemble_chat,
    "image": assemble_image,
    "speech": assemble_speech,
    "transcription": assemble_transcription,
}
"""By operation: those that stream."""

_HEAD = ("id", "model", "created", "content_type", "extra")
_TEXT_FIELD = {"transcription": "delta", "speech": "data"}


# -- chunks


def plain_chunk(chunk: Any) -> Plain:
    """A chunk, with the fields that differ from their defaults."""
    defaults = chunk._field_defaults
    return {
        name: _plain(value)
        for name, value in zip(chunk._fields, chunk, strict=True)
        if name not in defaults or value != defaults[name]
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Usage):
        return value.to_dict()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if hasattr(value, "_fields"):
        return plain_chunk(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def chunk_of(kind: type[Any], data: Plain) -> Any:
    """The chunk. Raises `TypeError` or `ValueError` for data that is none."""
    readers = _READERS.get(kind, {})
    return kind(**{name: readers[name](value) if name in readers and value is not None else value for name, value in data.items()})  # fmt: skip


def _one(kind: type[Any]) -> Callable[[Plain], Any]:
    return lambda data: chunk_of(kind, data)


def _many(kind: type[Any]) -> Callable[[Sequence[Plain]], tuple[Any, ...]]:
    return lambda items: tuple(chunk_of(kind, item) for item in items)


_READERS: Mapping[type[Any], Mapping[str, Callable[[Any], Any]]] = {
    ChatChunk: {"choices": _many(ChoiceDelta), "usage": Usage.model_validate},
    ChoiceDelta: {"delta": _one(Delta)},
    Delta: {"tool_calls": _many(ToolCallDelta), "reasoning_blocks": _many(ReasoningDelta), "annotations": tuple},
    ToolCallDelta: {"function": _one(FunctionDelta)},
    ImageChunk: {"usage": Usage.model_validate},
    SpeechChunk: {"data": b64decode, "usage": Usage.model_validate},
    TranscriptionChunk: {"logprobs": tuple, "usage": Usage.model_validate},
}


def head_of(chunks: Sequence[Plain]) -> Plain:
    """What most chunks of a stream have in common; the one in the middle stands for them."""
    usual = chunks[len(chunks) // 2] if chunks else {}
    return {name: usual[name] for name in _HEAD if name in usual}


def short(operation: str, chunk: Plain, head: Plain) -> Plain | str:
    """A chunk beside its stream's head."""
    defaults = CHUNKS[operation]._field_defaults
    rest = {name: value for name, value in chunk.items() if name not in head or head[name] != value}
    rest |= {name: defaults.get(name) for name in head if name not in chunk}
    text = _only_text(operation, rest)
    return rest if text is None else text


def long(operation: str, item: Plain | str, head: Plain) -> Plain:
    """The chunk as it was before `short`."""
    if not isinstance(item, str):
        return {**head, **item}
    field = _TEXT_FIELD.get(operation)
    return {**head, field: item} if field else {**head, "choices": [{"delta": {"content": item}}]}


def _only_text(operation: str, rest: Plain) -> str | None:
    field = _TEXT_FIELD.get(operation)
    if field is not None:
        found = rest.get(field)
        return found if len(rest) == 1 and isinstance(found, str) else None
    match rest:
        case {"choices": [{"delta": {"content": str(text)}}]} if rest == {"choices": [{"delta": {"content": text}}]}:
            return text
    return None


# -- requests and responses


def request_of(operation: str, body: Plain) -> Request:
    """The request. Raises `ValueError` for data that is none."""
    request: Request = _class_of(Request, operation).model_validate(body)
    return request


def response_of(operation: str, body: Plain) -> Response:
    """The response. Raises `ValueError` for data that is none."""
    response: Response = _class_of(Response, operation).model_validate(body)
    return response


def _class_of(base: type[Any], operation: str) -> Any:
    for kind in base.__subclasses__():
        if kind.operation == operation and kind.__module__.startswith(base.__module__.rpartition(".")[0]):
            return kind
    raise ValueError(f"no operation {str(operation)[:40]!r}")


# -- errors

_CONTEXT = ("provider", "model", "request_id", "status_code", "retry_after_s", "retryable", "fault")


def plain_error(error: BaseException) -> Plain:
    """The nearest class of our own tree, with what it carries. Of an exception that is not ours only the class: its text may hold anything."""
    if not isinstance(error, GlasswayError):
        return {"class": type(error).__name__}
    ours = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    context = {name: getattr(error, name) for name in _CONTEXT}
    known = {name: value for name, value in context.items() if value is not None}
    return {"class": ours.__name__, "kind": error.kind, "message": error.message, **known}


def error_of(data: Plain) -> Exception:
    """A new error like the recorded one: same class, same fields. Errors inside `AllAttemptsFailed` are not kept."""
    name, message = str(data.get("class")), str(data.get("message", "The recorded call failed with this error."))
    ours = getattr(errors, name, None)
    if isinstance(ours, type) and issubclass(ours, GlasswayError):
        try:
            return ours(message, **{field: data[field] for field in _CONTEXT if field in data})
        except TypeError:  # a class that is made of something else
            return APIError(message)
    other = getattr(builtins, name, None)
    return other(message) if isinstance(other, type) and issubclass(other, Exception) else RuntimeError(name)
