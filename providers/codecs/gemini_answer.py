"""Answers of `generateContent` as chunks: a whole answer is a stream of one document.

Source: https://ai.google.dev/api/generate-content#response-body
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import ChatChunk, ChatResponse, ChoiceDelta, Delta, FinishReason, assemble_chat
from .gemini_errors import body_error, error_object
from .gemini_grounding import annotations_of, logprobs_of
from .gemini_names import Json
from .gemini_turn import Gains, Turn
from .gemini_usage import has_counts, tier_of, usage_of
from .plain_json import read_json

FINISH: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"), "content_filter"),
    **dict.fromkeys(("ESCALATION", "PUP_LIMITED_DISABLED"), "content_filter"),
}
"""What is not listed (`OTHER`, `MALFORMED_FUNCTION_CALL` ...) means `stop`; the vendor's word stands beside it.

Source: https://ai.google.dev/api/generate-content#FinishReason
"""

_CHOICE_EXTRAS: Final = (
    "safetyRatings",
    "groundingMetadata",
    "citationMetadata",
    "urlContextMetadata",
    "avgLogprobs",
    "finishMessage",
    "tokenCount",
    "continuationToken",
)
_EXTRAS: Final = ("promptFeedback", "modelStatus")


class AnswerReader:
    """Reads the documents of one answer, in order.

    A prompt that the vendor blocks is an answer too, with the finish reason `content_filter`: it was billed, and the
    vendor's word for it is the native finish reason.
    """

    __slots__ = ("_counts", "_created", "_finished", "_id", "_model", "_provider", "_turns")

    def __init__(self, *, created: int, provider: str) -> None:
        self._created = created
        self._provider = provider
        self._id = self._model = ""
        self._counts: Json = {}
        self._turns: dict[int, Turn] = {}
        self._finished: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether every candidate has said why it ended."""
        return bool(self._finished) and self._finished >= self._turns.keys()

    def read(self, document: Any) -> ChatChunk:
        """The chunk of one document. Raises the class of an error, `ResponseValidationError` for what is no answer."""
        if (error := error_object(document)) is not None:
            raise body_error(error, self._provider)
        try:
            return self._chunk(document)
        except (KeyError, TypeError, AttributeError) as error:
            raise nonsense(f"an answer with all its fields ({type(error).__name__})", self._provider) from error

    def _chunk(self, document: Json) -> ChatChunk:
        self._id = document.get("responseId") or self._id
        self._model = document.get("modelVersion") or self._model
        counts = document.get("usageMetadata") or {}
        self._counts.update({name: count for name, count in counts.items() if count is not None})
        choices = [self._choice(place, one) for place, one in enumerate(document.get("candidates") or ())]
        if not choices and (document.get("promptFeedback") or {}).get("blockReason"):
            choices = [self._blocked(document["promptFeedback"]["blockReason"])]
        usage = usage_of(self._counts) if has_counts(counts) else None
        return ChatChunk(self._id, self._model, self._created, tuple(choices), usage, self._extra(document))

    def _extra(self, document: Json) -> Json | None:
        extra = {name: document[name] for name in _EXTRAS if document.get(name)}
        tier = tier_of(self._counts)
        return (extra | ({"service_tier": tier} if tier else {})) or None

    def _blocked(self, reason: str) -> ChoiceDelta:
        self._finished.add(0)
        return ChoiceDelta(0, Delta(role="assistant"), "content_filter", reason)

    def _choice(self, place: int, candidate: Json) -> ChoiceDelta:
        index = candidate.get("index", place)
        role = None if index in self._turns else "assistant"
        turn = self._turns.setdefault(index, Turn(f"{self._id}/{index}" if self._id else ""))
        gains = Gains()
        for part in (candidate.get("content") or {}).get("parts") or ():
            turn.add(part, gains)
        native = _native(candidate)
        if native is not None:
            self._finished.add(index)
            _join(gains, turn.end())
        return ChoiceDelta(
            index,
            gains.delta(
                role, annotations_of(candidate, turn.text), message_extra(turn, gains, ended=native is not None)
            ),
            _finish(native, has_calls=turn.has_calls),
            native,
            logprobs_of(candidate.get("logprobsResult")),
            {name: candidate[name] for name in _CHOICE_EXTRAS if candidate.get(name)} or None,
        )


def _native(candidate: Json) -> str | None:
    reason = candidate.get("finishReason")
    return None if reason in (None, "", "FINISH_REASON_UNSPECIFIED") else str(reason)


def _finish(native: str | None, *, has_calls: bool) -> FinishReason | None:
    if native is None:
        return None
    reason = FINISH.get(native, "stop")
    return "tool_calls" if reason == "stop" and has_calls else reason


def _join(gains: Gains, rest: Json) -> None:
    if rest:
        gains.audio = {**(gains.audio or {}), "data": (gains.audio or {}).get("data", "") + rest["data"]}


def message_extra(turn: Turn, gains: Gains, *, ended: bool) -> Json:
    """What OpenAI's message lacks: images, and at the end the order of the parts."""
    extra: Json = {"images": tuple(turn.images)} if gains.images else {}
    if ended and (layout := turn.layout()):
        extra["provider_blocks"] = tuple(layout)
    return extra


def nonsense(expected: str, provider: str) -> ResponseValidationError:
    """The error for what is not the vendor's."""
    return ResponseValidationError(
        f"Expected {expected}, found something else. Is base_url the vendor's?", provider=provider
    )


def decode_response(body: bytes, *, created: int, provider: str) -> ChatResponse:
    """Raises `ResponseValidationError` for what is no answer, and the error's own class for an error in a 200.

    An answer of neither candidates nor a reason is what the vendor sends when it fails: it is worth another try.
    """
    try:
        data = read_json(body)
    except ValueError as error:
        raise nonsense("JSON", provider) from error
    reader = AnswerReader(created=created, provider=provider)
    documents = data if isinstance(data, list) else [data]
    chunks = [reader.read(document) for document in documents]
    if not any(chunk.choices for chunk in chunks):
        raise nonsense("an answer with candidates", provider)
    return assemble_chat(chunks)
