"""The vendor's token counts in OpenAI's terms.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import CompletionTokensDetails, PromptTokensDetails, Usage

_PROMPT: Final = {"cached_tokens": "cache_read_input_tokens", "cache_write_tokens": "cache_creation_input_tokens"}
_READ: Final = frozenset(
    {"input_tokens", "output_tokens", "cache_creation", "output_tokens_details", *_PROMPT.values()}
)


def usage_of(counts: dict[str, Any]) -> Usage:
    """`prompt_tokens` is the vendor's `input_tokens` and what was read from and written to its cache.

    The split of cache writes by lifetime stays on `prompt_tokens_details` under the vendor's names, with its own
    `input_tokens`; fees and tiers stay on the usage. Raises `ResponseValidationError` for counts that are none.
    """
    try:
        return _usage(counts)
    except (ValidationError, TypeError, AttributeError) as error:
        raise ResponseValidationError("Expected token counts in the vendor's `usage`, found something else.") from error


def _usage(counts: dict[str, Any]) -> Usage:
    prompt = sum(counts.get(name) or 0 for name in ("input_tokens", *_PROMPT.values()))
    completion = counts.get("output_tokens") or 0
    rest = {name: value for name, value in counts.items() if name not in _READ and value is not None}
    details = _completion_details(counts.get("output_tokens_details"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=_prompt_details(counts),
        **({"completion_tokens_details": details} if details else {}),
        **rest,
    )


def _prompt_details(counts: dict[str, Any]) -> PromptTokensDetails:
    named = {ours: counts[theirs] for ours, theirs in _PROMPT.items() if counts.get(theirs) is not None}
    lifetimes = counts.get("cache_creation") or {}
    return PromptTokensDetails(**named, **lifetimes, input_tokens=counts.get("input_tokens") or 0)


def _completion_details(details: dict[str, Any] | None) -> CompletionTokensDetails | None:
    if not details:
        return None
    rest = {name: value for name, value in details.items() if name != "thinking_tokens"}
    return CompletionTokensDetails(reasoning_tokens=details.get("thinking_tokens"), **rest)
