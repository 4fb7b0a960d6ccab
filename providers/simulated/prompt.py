"""What a request asks for, whichever protocol asked: the simulated model reads this and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .dice import digest_of
from .reading import Json, canonical, string

ToolChoice: TypeAlias = Literal["none", "auto", "required"]

_CHARACTERS_PER_TOKEN = 4
_MEDIA_TOKENS = 256
_MEDIA_TYPES = frozenset({"image", "image_url", "document", "file", "input_audio"})
_IGNORED_IN_CONTENT = frozenset(
    {"model", "stream", "stream_options", "user", "metadata", "store", "prompt_cache_key", "safety_identifier"}
)


def count_tokens(text: str) -> int:
    """The simulated tokenizer: one token per started four characters, so `""` is 0 and `"hello"` is 2."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def first_tokens(text: str, tokens: int) -> str:
    """The part of `text` that the simulated tokenizer counts as its first `tokens` tokens."""
    return text[: max(tokens, 0) * _CHARACTERS_PER_TOKEN]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `schema` describes its arguments."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Segment:
    """One block of the prompt, in the order in which a vendor's prompt cache sees it.

    `cache_ttl` is set where the caller put a cache mark (Anthropic's `cache_control`).
    """

    text: str
    tokens: int
    cache_ttl: Literal["5m", "1h"] | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request, read.

    `text` is the last user message and `results` are the tool results that came after it; when there are
    results the model reports on them. `forced` names the one tool that must be called. `schema` is the JSON
    schema the answer must satisfy (`{}`: any object). `effort` is how many sentences to reason, 0 for none.
    `identity` is equal for requests that must get the same content: streaming or not is no difference.
    """

    model: str
    identity: str
    text: str
    segments: tuple[Segment, ...]
    results: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    forced: str | None = None
    parallel: bool = True
    schema: Json | None = None
    effort: int = 0
    show_reasoning: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    stream: bool = False
    include_usage: bool = False

    @property
    def tokens(self) -> int:
        """All input tokens, cached or not."""
        return sum(segment.tokens for segment in self.segments)


def segment_of(*parts: object) -> Segment:
    """The segment of one block; a picture, file or sound weighs a flat 256 tokens, whatever its size."""
    marks = [mark for part in parts if isinstance(part, Mapping) and (mark := cache_mark(part))]
    plain = [_unmarked(part) for part in parts]
    text = canonical(plain)
    media = any(isinstance(part, Mapping) and string(part.get("type")) in _MEDIA_TYPES for part in parts)
    return Segment(text, _MEDIA_TOKENS if media else _weight(plain, text), marks[0] if marks else None)


def cache_mark(block: Json) -> Literal["5m", "1h"] | None:
    """The lifetime that a block's `cache_control` asks for, `None` without one."""
    mark = block.get("cache_control")
    if not isinstance(mark, Mapping):
        return None
    return "1h" if mark.get("ttl") == "1h" else "5m"


def identity_of(body: Json) -> str:
    """The fingerprint of everything in `body` that may change what the model says."""
    return digest_of(canonical({key: value for key, value in body.items() if key not in _IGNORED_IN_CONTENT}))


def _unmarked(part: object) -> object:
    if not isinstance(part, Mapping):
        return part
    return {key: value for key, value in part.items() if key != "cache_control"}


def _weight(parts: list[object], text: str) -> int:
    texts = [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    texts += [part for part in parts[1:] if isinstance(part, str)]
    return sum(count_tokens(part) for part in texts) if texts else count_tokens(text)
