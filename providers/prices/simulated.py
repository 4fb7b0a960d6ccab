"""The simulated vendor's prices: invented, so that demonstrations have money to show."""

from __future__ import annotations

from decimal import Decimal

from ...pipeline.pricing import Price, Rates

_LARGE = Price(
    Rates(Decimal("2.50"), Decimal("0.25"), Decimal("3.125"), Decimal("5.00"), Decimal("10.00")), table="simulated"
)
_SMALL = Price(
    Rates(Decimal("0.20"), Decimal("0.02"), Decimal("0.25"), Decimal("0.40"), Decimal("0.80")), table="simulated"
)
_EMBEDDING = Price(Rates(Decimal("0.02")), table="simulated")

_SMALL_WORDS = ("mini", "small", "nano", "haiku", "flash", "lite", "fast")


def simulated_price(model: str) -> Price:
    """Any model has one: what sounds small is cheap, what embeds has no output, everything else costs like a large model."""
    if "embed" in model:
        return _EMBEDDING
    return _SMALL if any(word in model for word in _SMALL_WORDS) else _LARGE
