"""Providers: the terminals of a pipeline, one for each vendor.

Importing this imports neither httpx nor a codec; they come with the first provider that is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .aws import Bedrock
    from .discovery import ModelInfo, ProviderInfo, list_providers, provider_available, provider_info
    from .google import Vertex
    from .http import Availability, HTTPProvider
    from .vendors import (
        Anthropic,
        AzureOpenAI,
        Gemini,
        OpenAI,
        OpenAICompatible,
        Settings,
        Simulated,
        every_provider,
        provider,
    )

__all__ = [
    "Anthropic",
    "Availability",
    "AzureOpenAI",
    "Bedrock",
    "Gemini",
    "HTTPProvider",
    "ModelInfo",
    "OpenAI",
    "OpenAICompatible",
    "ProviderInfo",
    "Settings",
    "Simulated",
    "Vertex",
    "every_provider",
    "list_providers",
    "provider",
    "provider_available",
    "provider_info",
]

_HOMES = {
    **dict.fromkeys(("Availability", "HTTPProvider"), ".http"),
    **dict.fromkeys(
        ("ModelInfo", "ProviderInfo", "list_providers", "provider_available", "provider_info"), ".discovery"
    ),
    "Vertex": ".google",
    "Bedrock": ".aws",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, ".vendors"), __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
