"""Token counts, read so that each token is billed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .types import CompletionTokensDetails, PromptTokensDetails, Usage

_new_tuple = tuple.__new__  # half the time of a named tuple's own constructor


class Counts(NamedTuple):
    """Prompt and completion; their parts by the name of their rate, none of them zero; and what did not fit together."""

    prompt: int
    completion: int
    prompt_parts: Sequence[tuple[str, int]]
    completion_parts: Sequence[tuple[str, int]]
    anomalies: tuple[str, ...]


def counts_of(usage: Usage) -> Counts:
    """What `usage` counts. Never negative; the parts never exceed the whole, and contradictions are read the way that bills more."""
    if (extra := usage.__pydantic_extra__) and (billed := _billed(extra.get("billed_units"))) is not None:
        return billed
    prompt, completion, all_tokens, cached, written, reasoning = usage.parts()
    fields = usage.__dict__  # pydantic's attributes cost several times as much
    read, spent = fields["prompt_tokens_details"], fields["completion_tokens_details"]
    whole_alone = not (cached or written or reasoning) and _names_no_part(read) and _names_no_part(spent)
    if whole_alone and all_tokens == prompt + completion and prompt >= 0 and completion >= 0:
        return _new_tuple(Counts, (prompt, completion, (), (), ()))
    anomalies: tuple[str, ...] = ()
    negative = min(prompt, completion, cached, written, reasoning) < 0
    if negative or cached + written > prompt or reasoning > completion or all_tokens != prompt + completion:
        anomalies = _anomalies(usage)
        cached, written, reasoning = max(0, cached), max(0, written), max(0, reasoning)
        prompt, completion = _larger_reading(
            max(0, prompt), max(0, completion), cached + written, reasoning, all_tokens
        )
    prompt_parts = _prompt_parts(read, prompt, cached, written) if read else ()
    completion_parts = _completion_parts(spent, completion, reasoning) if spent else ()
    return Counts(prompt, completion, prompt_parts, completion_parts, anomalies)


def _names_no_part(details: PromptTokensDetails | CompletionTokensDetails | None) -> bool:
    """Whether it has nothing beside what `Usage.parts` tells of."""
    return details is None or not (details.__pydantic_extra__ or details.__dict__["audio_tokens"])


def _billed(units: object) -> Counts | None:
    """What a vendor says it bills, where that is less than it read: Cohere adds a preamble of its own that is free.

    Source: https://docs.cohere.com/docs/how-does-cohere-pricing-work
    """
    if not isinstance(units, dict) or not {"input_tokens", "output_tokens"} & units.keys():
        return None
    return Counts(_number(units.get("input_tokens")), _number(units.get("output_tokens")), (), (), ())


def _number(count: object) -> int:
    return int(count) if isinstance(count, (int, float)) and count > 0 else 0


def _prompt_parts(details: PromptTokensDetails, prompt: int, cached: int, written: int) -> Sequence[tuple[str, int]]:
    parts = [("cached", cached)] if cached else []
    if written:
        written_1h = min(written, _written_1h(details))
        parts += [("cache_write", written - written_1h), ("cache_write_1h", written_1h)]
    return _with_modalities(parts, details, ("input_audio", "input_image"), prompt - cached - written)


def _completion_parts(details: CompletionTokensDetails, completion: int, reasoning: int) -> Sequence[tuple[str, int]]:
    parts = [("reasoning", reasoning)] if reasoning else []
    return _with_modalities(parts, details, ("output_audio", "output_image"), completion - reasoning)


def _with_modalities(
    parts: list[tuple[str, int]],
    details: PromptTokensDetails | CompletionTokensDetails,
    names: tuple[str, str],
    room: int,
) -> Sequence[tuple[str, int]]:
    """Audio and image tokens, within those that nothing else has claimed: vendors count cached audio as both."""
    extra = details.__pydantic_extra__
    if not parts and not extra and not details.audio_tokens:
        return ()
    audio = min(max(0, details.audio_tokens or 0), room)
    image = min(whole(extra.get("image_tokens")), room - audio) if extra else 0
    if audio or image:
        parts += [(names[0], audio), (names[1], image)]
    return [part for part in parts if part[1]]


def _anomalies(usage: Usage) -> tuple[str, ...]:
    """Those of the usage, and negative parts, which it does not look at. A total that nobody has counted is none."""
    found = usage.anomalies()
    parts = (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    return (*found, "negative") if min(parts) < 0 and "negative" not in found else found


def _larger_reading(prompt: int, completion: int, in_cache: int, reasoning: int, total_tokens: int) -> tuple[int, int]:
    """Prompt and completion when parts and wholes contradict each other: a part larger than its whole was not counted in it.

    Vendors do count that way (Anthropic's input excludes cached tokens, xAI's completion reasoning), and a codec or a
    compatible server may have passed it on. Tokens that only the total knows of are output: reasoning, nearly always.
    """
    if in_cache > prompt:
        prompt += in_cache
    if reasoning > completion:
        completion += reasoning
    return prompt, max(completion, total_tokens - prompt)


def _written_1h(details: PromptTokensDetails) -> int:
    """Tokens written for one hour, a part of those written, under Anthropic's name.

    Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching#1-hour-cache-duration
    """
    return whole(details.model_extra.get("ephemeral_1h_input_tokens")) if details.model_extra else 0


def whole(value: object) -> int:
    """A count that a vendor sent in a field that we do not validate."""
    return value if isinstance(value, int) and value > 0 else 0
