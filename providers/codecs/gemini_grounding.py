"""What an answer rests on, and how sure it is, in OpenAI's terms: citations as annotations, log-probabilities.

Source: https://ai.google.dev/gemini-api/docs/google-search#understanding_the_grounding_response
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .gemini_names import Json


def annotations_of(candidate: Json, text: str) -> list[Json]:
    """The citations of a candidate, with their place in `text`, in characters."""
    grounding = candidate.get("groundingMetadata") or {}
    return [*_supports(grounding, text), *_cited(candidate.get("citationMetadata") or {}, text)]


def _supports(grounding: Json, text: str) -> Iterator[Json]:
    chunks = grounding.get("groundingChunks") or []
    for support in grounding.get("groundingSupports") or ():
        segment = support.get("segment") or {}
        place = _place(segment, text)
        for index in support.get("groundingChunkIndices") or ():
            if 0 <= index < len(chunks):
                yield _annotation(chunks[index], place, segment.get("text"))


def _annotation(chunk: Json, place: Json, cited: Any) -> Json:
    """Pages and places on a map in OpenAI's shape; passages of the user's own stores in the vendor's."""
    for kind in ("web", "maps", "image"):
        source = chunk.get(kind)
        if isinstance(source, dict) and isinstance(source.get("uri") or source.get("sourceUri"), str):
            uri = source.get("uri") or source.get("sourceUri")
            linked = {"url": uri, "title": source.get("title") or "", **place}
            return {"type": "url_citation", "url_citation": linked, "cited_text": cited}
    return {"type": "grounding", **chunk, **place, "cited_text": cited}


def _cited(metadata: Json, text: str) -> Iterator[Json]:
    """Recitations: AI Studio calls the list `citationSources`, Vertex AI `citations`."""
    for source in metadata.get("citationSources") or metadata.get("citations") or ():
        linked = {"url": source.get("uri") or "", "title": source.get("title") or "", **_place(source, text)}
        more = {"license": source["license"]} if source.get("license") else {}
        yield {"type": "url_citation", "url_citation": linked, **more}


def _place(segment: Json, text: str) -> Json:
    """The vendor counts bytes, from the start of the part. Where its own quotation is elsewhere, that counts."""
    data, quoted = text.encode("utf-8", "surrogatepass"), segment.get("text")
    start, end = segment.get("startIndex") or 0, segment.get("endIndex") or 0
    found = data[start:end].decode("utf-8", "replace")
    at = len(data[:start].decode("utf-8", "replace"))
    if isinstance(quoted, str) and quoted and found != quoted and (elsewhere := text.find(quoted)) >= 0:
        at, found = elsewhere, quoted
    return {"start_index": at, "end_index": at + len(found)}


def logprobs_of(result: Any) -> Json | None:
    """`logprobsResult` as OpenAI's `logprobs`; None without one.

    Source: https://ai.google.dev/api/generate-content#LogprobsResult
    """
    if not isinstance(result, dict) or not result.get("chosenCandidates"):
        return None
    tops = [top.get("candidates") or [] for top in result.get("topCandidates") or ()]
    content = []
    for place, chosen in enumerate(result["chosenCandidates"]):
        others = [_token(one) for one in tops[place]] if place < len(tops) else []
        content.append({**_token(chosen), "top_logprobs": others})
    return {"content": content}


def _token(candidate: Json) -> Json:
    token = candidate.get("token") or ""
    return {
        "token": token,
        "logprob": candidate.get("logProbability") or 0.0,
        "bytes": list(token.encode("utf-8", "replace")),
    }
