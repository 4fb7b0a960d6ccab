"""The vendor's token counts in OpenAI's terms.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import Usage

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
    named = {ours: counts[theirs] for ours, theirs in _PROMPT.items() if counts.get(theirs) is not None}
    own = counts.get("input_tokens") or 0
    prompt = own + sum(named.values())
    completion = counts.get("output_tokens") or 0
    fields = {name: value for name, value in counts.items() if name not in _READ and value is not None}
    fields |= {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    fields["prompt_tokens_details"] = {**(counts.get("cache_creation") or {}), **named, "input_tokens": own}
    if details := counts.get("output_tokens_details"):
        rest = {name: value for name, value in details.items() if name != "thinking_tokens"}
        fields["completion_tokens_details"] = rest | {"reasoning_tokens": details.get("thinking_tokens")}
    return Usage.model_validate(fields)
