"""The vendor's token counts in OpenAI's terms.

Source: https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import Usage
from .gemini_names import Json

_TIERS: Final = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex", "ON_DEMAND": "standard"}
"""Vertex AI's `trafficType`. Source: https://cloud.google.com/vertex-ai/generative-ai/docs/flex-paygo"""


def has_counts(counts: Json) -> bool:
    """Whether tokens are counted; early chunks of a stream may name only the kind of traffic."""
    return any(name.endswith("TokenCount") for name in counts)


def usage_of(counts: Json) -> Usage:
    """`prompt_tokens` is the prompt, with what was cached, and what server tools put into it; `completion_tokens` has the thoughts.

    Raises `ResponseValidationError` for counts that are none.
    """
    try:
        return _usage(counts)
    except (ValidationError, TypeError, AttributeError, KeyError) as error:
        raise ResponseValidationError(
            "Expected token counts in the vendor's `usageMetadata`, found something else."
        ) from error


def _usage(counts: Json) -> Usage:
    tools = counts.get("toolUsePromptTokenCount") or 0
    thoughts = counts.get("thoughtsTokenCount")
    prompt = (counts.get("promptTokenCount") or 0) + tools
    completion = (counts.get("candidatesTokenCount") or 0) + (thoughts or 0)
    inside = _by_modality(counts.get("promptTokensDetails"))
    if counts.get("cachedContentTokenCount") is not None:
        inside["cached_tokens"] = counts["cachedContentTokenCount"]
    if tools:
        inside["tool_use_tokens"] = tools
    outside = _by_modality(counts.get("candidatesTokensDetails"))
    if thoughts is not None:
        outside["reasoning_tokens"] = thoughts
    fields: Json = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    fields |= {"prompt_tokens_details": inside} if inside else {}
    fields |= {"completion_tokens_details": outside} if outside else {}
    return Usage.model_validate(fields)


def _by_modality(details: Any) -> Json:
    """`[{"modality": "AUDIO", "tokenCount": 5}]` as `{"audio_tokens": 5}`."""
    named: Json = {}
    for detail in details or ():
        name = f"{detail['modality'].lower()}_tokens"
        named[name] = named.get(name, 0) + (detail.get("tokenCount") or 0)
    return named


def tier_of(counts: Json) -> str | None:
    """The tier that served the answer, in the words that the request uses."""
    tier = counts.get("serviceTier") or _TIERS.get(counts.get("trafficType") or "")
    return tier.lower() if isinstance(tier, str) else None
