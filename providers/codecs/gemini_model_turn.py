"""An assistant's message as the parts of a model turn: the way back of `Turn`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ...pipeline.types import Message, ReasoningBlock, ToolCall
from .gemini_models import Traits
from .gemini_names import PROVIDER, Json
from .gemini_parts import parts_of
from .gemini_turn import OWN_ID
from .notes import Note
from .plain_json import json_object

Signatures = dict[str | int | None, str]
"""By the id of a tool call, or the place among the parts."""

NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""What a call carries that Gemini has not signed: another vendor's, or one that the caller made up.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
"""


def model_parts(message: Message, traits: Traits, note: Note) -> list[Json]:
    """The parts of an assistant message: thoughts first, calls last, unless it says its own order."""
    blocks = _own_blocks(message, note)
    layout = [entry for entry in message.extra.get("provider_blocks") or () if entry.get("provider") == PROVIDER]
    signatures: Signatures = {block.id or block.index: block.signature for block in blocks if block.signature}
    thoughts = [_thought(block) for block in blocks if block.type == "thinking"]
    calls = [_call(call, signatures, note) for call in message.tool_calls or ()]
    if layout:
        texts = _texts(message, layout, note)
        sources = {
            "thinking": iter(thoughts),
            "text": iter(texts),
            "tool_call": iter(calls),
            "image": _images(message, note),
        }
        parts = list(_arranged(layout, sources, signatures))
    else:
        parts = [*thoughts, *_signed_text(_texts(message, [], note), blocks), *_images(message, note), *calls]
    if traits.checks_signatures:
        _sign_first_call(parts, note)
    return parts


def _own_blocks(message: Message, note: Note) -> list[ReasoningBlock]:
    blocks = message.reasoning_blocks or ()
    own = [block for block in blocks if block.provider == PROVIDER]
    if len(own) < len(blocks) or (message.reasoning_content and not blocks):
        note("messages.reasoning", "dropped", "only Gemini's own thoughts can be sent back")
    return sorted(own, key=lambda block: -1 if block.index is None else block.index)


def _thought(block: ReasoningBlock) -> Json:
    signed = {"thoughtSignature": block.signature} if block.signature else {}
    return {"text": block.text or "", "thought": True, **signed}


def _texts(message: Message, layout: Sequence[Json], note: Note) -> list[Json]:
    """The texts, cut into the parts that they came in unless a stage has changed their length since."""
    if isinstance(message.content, str):
        if (cut := _cut(message.content, layout)) is not None:
            return cut
        return [{"text": message.content}] if message.content else []
    return parts_of(message.content, note) or ([{"text": message.refusal}] if message.refusal else [])


def _cut(text: str, layout: Sequence[Json]) -> list[Json] | None:
    lengths = [entry.get("characters", 0) for entry in layout if entry["type"] == "text"]
    if not lengths or sum(lengths) != len(text):
        return None
    parts, start = [], 0
    for length in lengths:
        parts.append({"text": text[start : start + length]})
        start += length
    return parts


def _signed_text(texts: list[Json], blocks: Sequence[ReasoningBlock]) -> list[Json]:
    """A signature that belongs to no call belongs to the text."""
    signature = next((block.signature for block in blocks if block.type == "signature" and not block.id), None)
    if signature is None:
        return texts
    *before, last = texts or [{"text": ""}]
    return [*before, {**last, "thoughtSignature": signature}]


def _arranged(layout: Sequence[Json], sources: dict[str, Iterator[Json]], signatures: Signatures) -> Iterator[Json]:
    for place, entry in enumerate(layout):
        if entry["type"] == "part":
            yield entry["part"]
            continue
        part = next(sources.get(entry["type"], iter(())), None)
        signed = {"thoughtSignature": signature} if (signature := signatures.get(place)) else {}
        if part is not None:
            yield {**part, **entry.get("fields", {}), **signed}
        elif entry["type"] == "text" and signed:
            yield {"text": "", **signed}
    for source in sources.values():
        yield from source


def _call(call: ToolCall, signatures: Signatures, note: Note) -> Json:
    if call.function is None:
        custom = call.extra.get("custom") or {}
        body: Json = {"name": custom.get("name", ""), "args": {"input": custom.get("input", "")}}
    else:
        body = {"name": call.function.name, "args": _arguments(call.function.arguments, note)}
    if call.id and not call.id.startswith(OWN_ID):
        body["id"] = call.id
    signature = signatures.get(call.id)
    return {"functionCall": body, **({"thoughtSignature": signature} if signature else {})}


def _arguments(text: str, note: Note) -> Json:
    if not text.strip():
        return {}
    parsed = json_object(text)
    if parsed is None:
        note(
            "messages.tool_calls.arguments", "emulated", "not a JSON object; sent as {'invalid_arguments': <the text>}"
        )
        return {"invalid_arguments": text}
    return parsed


def _images(message: Message, note: Note) -> Iterator[Json]:
    """Images that a model has drawn, to be worked on further."""
    for image in message.extra.get("images") or ():
        url = (image.get("image_url") or {}).get("url", "")
        if url.startswith("data:"):
            head, _, data = url.removeprefix("data:").partition(",")
            yield {"inlineData": {"mimeType": head.partition(";")[0], "data": data}}
        else:
            note("messages.images", "dropped", "expected a data URL")


def _sign_first_call(parts: list[Json], note: Note) -> None:
    """Of parallel calls the vendor signs and checks the first."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None and "thoughtSignature" not in first:
        first["thoughtSignature"] = NO_SIGNATURE
        note("messages.tool_calls", "emulated", "not signed by Gemini; sent with the mark that skips the check")
