"""What vendors charge: an adapter over the data of the `genai-prices` package, and the simulated vendor's own prices."""

from __future__ import annotations

from .table import VendorPrices, default_table

__all__ = ["VendorPrices", "default_table"]
