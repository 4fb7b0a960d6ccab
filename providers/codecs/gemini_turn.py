"""The model's turn: Gemini's parts in their order, and a message in OpenAI's shape.

OpenAI's shape has one text, a list of tool calls and (ours) a list of reasoning blocks. Thoughts are reasoning blocks; so
is every signature, with the id of its tool call or, of a text, with its place. Where that cannot say what the vendor
wrote - its own kinds of parts, several texts, images, another order - the message also carries `provider_blocks`: one
entry per part, in order. Native parts are in it whole, the others only as a mark of their place, so that a stage that
rewrites the message's text or tool calls rewrites what is sent back.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from ...pipeline.types import Delta, FunctionDelta, ReasoningDelta, ToolCallDelta
from .gemini_names import PROVIDER, Json

OWN_ID: Final = "gemini_"
"""How ids begin that we made, because the vendor gave none: they are not sent to it."""

_KNOWN: Final = frozenset({"text", "thought", "thoughtSignature", "functionCall", "inlineData"})
_ORDER: Final = {"thinking": 0, "text": 1, "tool_call": 2}


def made_id(seed: str, number: int) -> str:
    """The same id for the same answer, whole or streamed; letters, digits and `_` only, at most 40 of them."""
    return f"{OWN_ID}{hashlib.blake2s(seed.encode(), digest_size=6).hexdigest()}_{number}"


@dataclass(slots=True)
class Gains:
    """What some parts add to a message."""

    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    blocks: list[ReasoningDelta] = field(default_factory=list)
    audio: Json | None = None
    images: bool = False

    def delta(self, role: str | None, annotations: list[Json], extra: Json) -> Delta:
        """As a delta."""
        return Delta(
            role=role,
            content=self.content,
            reasoning_content=self.reasoning,
            tool_calls=tuple(self.tool_calls),
            reasoning_blocks=tuple(self.blocks),
            annotations=tuple(annotations),
            audio=self.audio,
            extra=extra or None,
        )


class Turn:
    """A turn while it grows. Neighbouring texts without a signature are one text, however they were cut.

    `seed` tells the ids apart that are made for tool calls without one.
    """

    __slots__ = ("_audio", "_calls", "_entries", "_seed", "images", "text")

    def __init__(self, seed: str = "") -> None:
        self.text = ""
        self.images: list[Json] = []
        self._entries: list[Json] = []
        self._calls = 0
        self._seed = seed
        self._audio = b""

    @property
    def has_calls(self) -> bool:
        """Whether a tool is to be run."""
        return self._calls > 0

    def add(self, part: Json, gains: Gains) -> None:
        """The next part. Raises `TypeError` or `KeyError` for a part that is not the vendor's."""
        if isinstance(part.get("functionCall"), dict):
            self._call(part, part["functionCall"], gains)
        elif isinstance(part.get("text"), str):
            self._say(part, part["text"], gains)
        elif isinstance(part.get("inlineData"), dict) and not part.get("thought"):
            self._media(part, part["inlineData"], gains)
        elif part:
            self._enter("part", part, gains)

    def _say(self, part: Json, text: str, gains: Gains) -> None:
        kind = "thinking" if part.get("thought") else "text"
        signature = part.get("thoughtSignature")
        if not text and not signature:
            return
        last = self._entries[-1] if self._entries else {}
        if last.get("type") != kind or last.get("signed") or signature or part.keys() - _KNOWN:
            self._enter(kind, part, gains, characters=0)
        self._entries[-1]["characters"] += len(text)
        if kind == "thinking":
            gains.reasoning = (gains.reasoning or "") + text
            gains.blocks.append(ReasoningDelta(len(self._entries) - 1, text=text, provider=PROVIDER))
        else:
            gains.content = (gains.content or "") + text
            self.text += text

    def _call(self, part: Json, call: Json, gains: Gains) -> None:
        number, self._calls = self._calls, self._calls + 1
        arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
        call_id = call.get("id") or made_id(self._seed or f"{call['name']} {arguments}", number)
        self._enter("tool_call", part, gains, call_id)
        gains.tool_calls.append(ToolCallDelta(number, call_id, "function", FunctionDelta(call["name"], arguments)))

    def _media(self, part: Json, blob: Json, gains: Gains) -> None:
        media_type, data = blob.get("mimeType") or "", blob["data"]
        if media_type.startswith("audio/"):
            self._enter("audio", part, gains)
            gains.audio = {"data": (gains.audio or {}).get("data", "") + self._aligned(data), "mime_type": media_type}
        elif media_type.startswith("image/"):
            self._enter("image", part, gains)
            gains.images = True
            self.images.append({"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}})
        else:
            self._enter("part", part, gains)

    def _enter(self, kind: str, part: Json, gains: Gains, call_id: str | None = None, **more: Any) -> None:
        signature = part.get("thoughtSignature")
        entry: Json = {"provider": PROVIDER, "type": kind, **more}
        if kind == "part":
            entry["part"] = part
        else:
            entry |= {"fields": rest} if (rest := {name: part[name] for name in part.keys() - _KNOWN}) else {}
            if signature:
                entry["signed"] = True
                named = "thinking" if kind == "thinking" else "signature"
                gains.blocks.append(
                    ReasoningDelta(len(self._entries), named, signature=signature, id=call_id, provider=PROVIDER)
                )
        self._entries.append(entry)

    def _aligned(self, data: str) -> str:
        """Base64 that can be joined with the next piece's: three bytes make four letters."""
        try:
            held = self._audio + base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise TypeError("audio that is not base64") from error
        end = len(held) // 3 * 3
        self._audio = held[end:]
        return base64.b64encode(held[:end]).decode()

    def end(self) -> Json:
        """The last bytes of audio, as a delta's `audio`; empty if there are none."""
        rest, self._audio = self._audio, b""
        return {"data": base64.b64encode(rest).decode()} if rest else {}

    def layout(self) -> list[Json]:
        """The `provider_blocks`; empty where OpenAI's shape and the reasoning blocks say it all."""
        kinds = [entry["type"] for entry in self._entries]
        ranks = [_ORDER.get(kind, -1) for kind in kinds]
        if (
            ranks == sorted(ranks)
            and -1 not in ranks
            and kinds.count("text") < 2
            and not any("fields" in entry for entry in self._entries)
        ):
            return []
        return [{name: value for name, value in entry.items() if name != "signed"} for entry in self._entries]
