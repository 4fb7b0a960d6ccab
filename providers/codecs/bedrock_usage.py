"""The vendor's token counts in OpenAI's terms.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html; that `inputTokens` excludes what
was read from and written to the cache is told by recorded answers, whose `totalTokens` is the sum of all four.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import Usage

_CACHED: Final = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN: Final = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")
_READ: Final = frozenset({"inputTokens", "outputTokens", "totalTokens", "cacheDetails", *_CACHED, *_WRITTEN})


def usage_of(counts: Any) -> Usage:
    """`prompt_tokens` is the vendor's `inputTokens` and what was read from and written to its cache.

    The split of cache writes by lifetime stays on `prompt_tokens_details` under Anthropic's names, with the vendor's own
    `input_tokens`. Raises `ResponseValidationError` for counts that are none.
    """
    try:
        return _usage(counts)
    except (ValidationError, TypeError, AttributeError, KeyError) as error:
        raise ResponseValidationError("Expected token counts in the vendor's `usage`, found something else.") from error


def _usage(counts: Mapping[str, Any]) -> Usage:
    own, cached, written = counts.get("inputTokens") or 0, _first(counts, _CACHED), _first(counts, _WRITTEN)
    completion = counts.get("outputTokens") or 0
    prompt = own + (cached or 0) + (written or 0)
    details = {f"ephemeral_{one['ttl']}_input_tokens": one["inputTokens"] for one in counts.get("cacheDetails") or ()}
    named = {"cached_tokens": cached, "cache_write_tokens": written}
    details |= {name: count for name, count in named.items() if count is not None}
    fields = {name: value for name, value in counts.items() if name not in _READ and value}
    fields |= {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    fields["prompt_tokens_details"] = details | {"input_tokens": own}
    return Usage.model_validate(fields)


def _first(counts: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((counts[name] for name in names if counts.get(name) is not None), None)
