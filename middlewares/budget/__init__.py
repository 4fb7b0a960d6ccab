"""So much money in a time, and no more."""

from __future__ import annotations

from .purse import BudgetOf
from .stage import Budget, BudgetWarning

__all__ = ["Budget", "BudgetOf", "BudgetWarning"]
