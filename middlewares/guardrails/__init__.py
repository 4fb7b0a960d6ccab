"""What no request should carry and no answer should hold: rules, and the stage that applies them."""

from __future__ import annotations

from .names import RuleLike, from_name
from .rules import (
    PII,
    Action,
    Check,
    DenyList,
    GuardRule,
    JSONSchema,
    MaxLength,
    OnError,
    Regex,
    Secrets,
    Side,
    Verdict,
)
from .stage import Guardrails

__all__ = [
    "PII",
    "Action",
    "Check",
    "DenyList",
    "GuardRule",
    "Guardrails",
    "JSONSchema",
    "MaxLength",
    "OnError",
    "Regex",
    "RuleLike",
    "Secrets",
    "Side",
    "Verdict",
    "from_name",
]
