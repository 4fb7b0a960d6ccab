"""The vendor's token counts in OpenAI's terms.

Source: https://docs.cohere.com/reference/chat#response.body.usage
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import Usage

Json = dict[str, Any]

_READ: Final = frozenset({"tokens", "cached_tokens"})
_COUNTED: Final = frozenset({"input_tokens", "output_tokens", "reasoning_tokens"})


def usage_of(counts: Any) -> Usage | None:
    """What the model read and wrote; None where the vendor counted nothing.

    `prompt_tokens` includes the vendor's own preamble, which it does not bill: what it bills is kept as
    `billed_units`. `image_tokens` is kept as it came: some models count it into their input, others beside it.
    Raises `ResponseValidationError` for counts that are none.
    """
    if not counts:
        return None
    try:
        return _usage(counts)
    except (ValidationError, TypeError, AttributeError, ValueError) as error:
        raise ResponseValidationError("Expected token counts in the vendor's `usage`, found something else.") from error


def _usage(counts: Json) -> Usage | None:
    tokens = counts.get("tokens") or counts.get("billed_units") or {}
    if "input_tokens" not in tokens and "output_tokens" not in tokens:
        return None
    prompt, completion = int(tokens.get("input_tokens") or 0), int(tokens.get("output_tokens") or 0)
    fields: Json = {name: value for name, value in counts.items() if name not in _READ and value is not None}
    fields |= {name: value for name, value in tokens.items() if name not in _COUNTED and value is not None}
    fields |= {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if (cached := counts.get("cached_tokens")) is not None:
        fields["prompt_tokens_details"] = {"cached_tokens": int(cached)}
    if (reasoning := tokens.get("reasoning_tokens")) is not None:
        fields["completion_tokens_details"] = {"reasoning_tokens": int(reasoning)}
    return Usage.model_validate(fields)


def billed_usage(meta: Any) -> Usage | None:
    """The counts of an operation that only reads: its `meta.billed_units`, images among them. None where there are none."""
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    if not isinstance(billed, dict) or not {"input_tokens", "image_tokens"} & billed.keys():
        return None
    read = int(billed.get("input_tokens") or 0) + int(billed.get("image_tokens") or 0)
    return Usage.model_validate({"prompt_tokens": read, "total_tokens": read, "billed_units": billed})
