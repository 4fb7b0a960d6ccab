"""OpenAI's operations beyond chat, and reranking: a request's fields in, an answer out.

Source: https://platform.openai.com/docs/api-reference, https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .dice import Dice
from .media import png, seconds_of, wav, words_in
from .prompt import count_tokens
from .reading import Json, compact, encoded, integer, items, string
from .refusal import Refusal
from .script import pieces_of
from .vectors import DEFAULT_DIMENSIONS, MOST_DIMENSIONS, likeness, packed, vector_of
from .wire import Event

_MOST_INPUTS = 2048
_MOST_PICTURES = 10
_PICTURE_TOKENS = 272
_HARMFUL = {
    "violence": ("kill", "murder", "attack", "bomb"),
    "harassment": ("idiot", "stupid", "loser"),
    "self-harm": ("suicide",),
    "hate": ("hate",),
}


class Asked(NamedTuple):
    """A request of one of the operations."""

    model: str
    body: Json
    files: Mapping[str, Sequence[bytes]]
    dice: Dice
    now_s: int


class Operated(NamedTuple):
    """An answer: one body, or the pieces of a stream."""

    body: bytes = b""
    content_type: str = "application/json"
    events: Sequence[Event] = ()
    pieces: Sequence[bytes] = ()
    tokens: int = 0


def embeddings(asked: Asked) -> Operated:
    """A vector for each input."""
    inputs = _inputs(asked.body)
    dimensions = integer(asked.body.get("dimensions")) or DEFAULT_DIMENSIONS
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise Refusal(400, f"{dimensions} is not a valid number of dimensions - 'dimensions'", "dimensions")
    vectors = [vector_of(text, dimensions) for text in inputs]
    asks_packed = asked.body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": packed(vector) if asks_packed else vector}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(map(count_tokens, inputs))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Operated(encoded({"object": "list", "data": data, "model": asked.model, "usage": usage}), tokens=tokens)


def moderation(asked: Asked) -> Operated:
    """A verdict for each text: harmful words are harmful."""
    given = asked.body.get("input")
    parts = [item for item in items(given) if isinstance(item, Mapping)]
    texts = [" ".join(string(part.get("text")) for part in parts)] if parts else _inputs(asked.body)
    results = [_verdict(text) for text in texts]
    return Operated(encoded({"id": f"modr-{asked.dice.token(24)}", "model": asked.model, "results": results}))


def image(asked: Asked) -> Operated:
    """Pictures, each another; of an edit and of a variation too."""
    count = integer(asked.body.get("n")) or 1
    if not 0 < count <= _MOST_PICTURES:
        raise Refusal(400, f"Invalid 'n': expected a value from 1 to {_MOST_PICTURES}, but got {count} instead.", "n")
    prompt = string(asked.body.get("prompt"))
    if not prompt and not asked.files:
        raise Refusal(400, "Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter")
    pictures = [base64.b64encode(png(asked.dice.child("image", index))).decode() for index in range(count)]
    words, seen = count_tokens(prompt), _PICTURE_TOKENS * sum(map(len, asked.files.values()))
    usage = _usage(words + seen, _PICTURE_TOKENS * count, {"text_tokens": words, "image_tokens": seen}, "s")
    if asked.body.get("stream") is True:
        return Operated(events=_picture_events(asked, pictures, usage), tokens=words)
    data = [{"b64_json": picture} for picture in pictures]
    return Operated(
        encoded({"created": asked.now_s, "data": data, "output_format": "png", "usage": usage}), tokens=words
    )


def speech(asked: Asked) -> Operated:
    """A WAV, whatever format was asked for: nothing here can compress sound."""
    text = string(asked.body.get("input"))
    if not text:
        raise Refusal(400, "Missing required parameter: 'input'.", "input", "missing_required_parameter")
    sound = wav(text, asked.dice)
    tokens = count_tokens(text)
    if asked.body.get("stream_format") == "sse":
        return Operated(events=_sound_events(sound, tokens), tokens=tokens)
    pieces = [sound[place : place + 4096] for place in range(0, len(sound), 4096)]
    return Operated(sound, "audio/wav", pieces=pieces, tokens=tokens)


def transcription(asked: Asked) -> Operated:
    """What a sound that was made here says; of others, how long they are."""
    sound = next(iter(asked.files.get("file", ())), b"")
    if not sound:
        raise Refusal(400, "Missing required parameter: 'file'.", "file", "missing_required_parameter")
    seconds = seconds_of(sound)
    text = words_in(sound) or f"A sound of {seconds} seconds."
    heard, said = int(seconds * 10) + 1, count_tokens(text)
    usage = {"type": "tokens", **_usage(heard, said, {"text_tokens": 0, "audio_tokens": heard}, "")}
    if asked.body.get("stream") is True:
        return Operated(events=_text_events(text, usage), tokens=heard)
    return _transcript(string(asked.body.get("response_format")), text, seconds, usage)


def rerank(asked: Asked) -> Operated:
    """The documents by the words that they share with the query."""
    query = string(asked.body.get("query"))
    documents = [
        string(item.get("text")) if isinstance(item, Mapping) else string(item)
        for item in items(asked.body.get("documents"))
    ]
    if not query or not documents:
        raise Refusal(400, "Expected 'query' and at least one of 'documents'.", "documents")
    scores = sorted(
        ((likeness(query, text), index) for index, text in enumerate(documents)), key=lambda pair: (-pair[0], pair[1])
    )
    most = integer(asked.body.get("top_n")) or len(scores)
    results: list[dict[str, object]] = [
        {"index": index, "relevance_score": round(score, 6)} for score, index in scores[:most]
    ]
    if asked.body.get("return_documents") is True:
        results = [
            {**result, "document": {"text": documents[index]}}
            for result, (_, index) in zip(results, scores, strict=False)
        ]
    tokens = sum(count_tokens(text) for text in (query, *documents))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Operated(
        encoded({"id": f"rerank-{asked.dice.token(24)}", "model": asked.model, "results": results, "usage": usage})
    )


OPERATIONS: Mapping[str, Callable[[Asked], Operated]] = {
    "/v1/embeddings": embeddings,
    "/v1/moderations": moderation,
    "/v1/images/generations": image,
    "/v1/images/edits": image,
    "/v1/images/variations": image,
    "/v1/audio/speech": speech,
    "/v1/audio/transcriptions": transcription,
    "/v1/audio/translations": transcription,
    "/v1/rerank": rerank,
}


def _inputs(body: Json) -> list[str]:
    given = body.get("input")
    inputs: list[object] = [given] if isinstance(given, str) else list(items(given))
    if inputs and all(integer(item) is not None for item in inputs):
        inputs = [inputs]
    texts = [item if isinstance(item, str) else " ".join(map(str, items(item))) for item in inputs]
    if not texts or not all(texts):
        raise Refusal(
            400, "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
        )
    if len(texts) > _MOST_INPUTS:
        raise Refusal(
            400, f"'$.input' is invalid. Expected at most {_MOST_INPUTS} inputs, but got {len(texts)} instead.", "input"
        )
    return texts


def _verdict(text: str) -> Json:
    words = set(text.lower().split())
    scores = {name: 0.97 if words.intersection(marks) else 0.0001 for name, marks in _HARMFUL.items()}
    categories = {name: score > 0.5 for name, score in scores.items()}
    applied = {name: ["text"] for name in scores}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }


def _usage(prompt: int, completion: int, details: Json, plural: str) -> Json:
    return {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
        f"input_token{plural}_details": details,
    }


def _picture_events(asked: Asked, pictures: Sequence[str], usage: Json) -> list[Event]:
    kind = "image_edit" if asked.files else "image_generation"
    common = {
        "created_at": asked.now_s,
        "size": "auto",
        "quality": "low",
        "background": "opaque",
        "output_format": "png",
    }
    previews = [
        {"type": f"{kind}.partial_image", "b64_json": pictures[0], "partial_image_index": index, **common}
        for index in range(integer(asked.body.get("partial_images")) or 0)
    ]
    finished = [{"type": f"{kind}.completed", "b64_json": picture, **common, "usage": usage} for picture in pictures]
    return [
        Event(compact(item), str(item["type"]), closing="completed" in str(item["type"]))
        for item in (*previews, *finished)
    ]


def _sound_events(sound: bytes, tokens: int) -> list[Event]:
    pieces = [sound[place : place + 3000] for place in range(0, len(sound), 3000)]
    deltas = [
        Event(compact({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})) for piece in pieces
    ]
    usage = {"input_tokens": tokens, "output_tokens": 10 * len(pieces), "total_tokens": tokens + 10 * len(pieces)}
    return [*deltas, Event(compact({"type": "speech.audio.done", "usage": usage}), closing=True)]


def _text_events(text: str, usage: Json) -> list[Event]:
    deltas = [Event(compact({"type": "transcript.text.delta", "delta": piece})) for piece in pieces_of(text)]
    done = Event(compact({"type": "transcript.text.done", "text": text, "usage": usage}), closing=True)
    return [*deltas, done, Event("[DONE]", closing=True)]


def _transcript(form: str, text: str, seconds: float, usage: Json) -> Operated:
    end = f"00:00:{seconds:06.3f}"
    files = {
        "text": f"{text}\n",
        "srt": f"1\n00:00:00,000 --> {end.replace('.', ',')}\n{text}\n\n",
        "vtt": f"WEBVTT\n\n00:00:00.000 --> {end}\n{text}\n\n",
    }
    if form in files:
        return Operated(files[form].encode(), "text/plain; charset=utf-8")
    if form == "verbose_json":
        segment = {"id": 0, "start": 0.0, "end": seconds, "text": text}
        whole = {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": [segment]}
        return Operated(encoded({**whole, "usage": {"type": "duration", "seconds": int(seconds) + 1}}))
    return Operated(encoded({"text": text, "usage": usage}))
