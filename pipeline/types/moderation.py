"""The moderation operation: is this content harmful, and how."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from .base import Model, Operation, Request, Response


class ModerationRequest(Request):
    """Content to be judged, in OpenAI's shape.

    Source: https://platform.openai.com/docs/api-reference/moderations/create
    """

    operation: ClassVar[Operation] = "moderation"

    input: str | tuple[str, ...] | tuple[dict[str, Any], ...]
    """A text, texts judged one by one, or parts (text, image URLs) judged together."""


class ModerationResult(Model):
    """One verdict. Names of categories and scores are the vendor's own; `flagged` is whether any category holds."""

    flagged: bool
    categories: dict[str, bool | None] = Field(default_factory=dict)
    category_scores: dict[str, float | None] = Field(default_factory=dict)
    category_applied_input_types: dict[str, tuple[str, ...] | None] | None = None

    @model_validator(mode="before")
    @classmethod
    def _flag(cls, data: Any) -> Any:
        """Mistral leaves the conclusion to the reader. Source: https://docs.mistral.ai/capabilities/guardrailing"""
        if isinstance(data, dict) and "flagged" not in data and isinstance(data.get("categories"), dict):
            return {**data, "flagged": any(data["categories"].values())}
        return data


class ModerationResponse(Response):
    """A verdict for each input, in order."""

    operation: ClassVar[Operation] = "moderation"

    id: str = ""
    model: str = ""
    results: tuple[ModerationResult, ...] = ()

    @property
    def flagged(self) -> bool:
        """Whether any input is harmful."""
        return any(result.flagged for result in self.results)
