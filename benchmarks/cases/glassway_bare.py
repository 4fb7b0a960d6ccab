"""Glassway without a stage, over the transport of the `fast` extra: codec, HTTP and the chain's own share."""

from __future__ import annotations

from typing import Any

from cases.glassway_full import completion

from glassway import Client, OpenAI, Pipeline


async def prepare(url: str, stream: bool) -> Any:
    """A client with nothing between it and the vendor."""
    provider = OpenAI(api_key="sk-test", base_url=url, fast=True)
    return completion(Client(Pipeline([], providers=[provider], telemetry=False)), stream)
