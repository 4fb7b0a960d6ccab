"""What a request did not say, filled in; what it may not say, forced or capped."""

from __future__ import annotations

from .rules import DefaultsRule
from .stage import Defaults

__all__ = ["Defaults", "DefaultsRule"]
