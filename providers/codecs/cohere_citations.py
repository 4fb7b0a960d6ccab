"""Citations: which words of an answer rest on which document or tool result.

They stay as the vendor wrote them, with `start_index` and `end_index` in the whole text of the answer beside it.

Source: https://docs.cohere.com/docs/rag-citations
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...pipeline.types import Message
from .notes import Note

Json = dict[str, Any]

_ADDED: Final = ("start_index", "end_index")


def annotation_of(citation: Json, starts: Mapping[int, int]) -> Json:
    """One citation; `starts` is where the text of each content block begins. One of a plan or of thoughts has no place in the text."""
    start, end = citation.get("start"), citation.get("end")
    if citation.get("type", "TEXT_CONTENT") != "TEXT_CONTENT" or not isinstance(start, int) or not isinstance(end, int):
        return dict(citation)
    before = starts.get(citation.get("content_index") or 0, 0)
    return {**citation, "start_index": before + start, "end_index": before + end}


def citations_of(message: Message, note: Note) -> list[Json]:
    """The citations of an earlier answer, as the vendor wrote them; those of other vendors are dropped."""
    annotations: Sequence[Json] = message.annotations or ()
    own = [one for one in annotations if isinstance(one.get("sources"), list)]
    if len(own) < len(annotations):
        note("messages.annotations", "dropped", "the vendor takes back only citations of its own")
    return [{name: value for name, value in one.items() if name not in _ADDED} for one in own]
