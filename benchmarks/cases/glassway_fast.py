"""Glassway with every stage on, metered, over the transport of the `fast` extra."""

from __future__ import annotations

from typing import Any

from cases.glassway_full import prepare_over


async def prepare(url: str, stream: bool) -> Any:
    """A client with the full stack."""
    return prepare_over(url, stream, fast=True)
