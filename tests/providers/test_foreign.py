"""The names that only one protocol knows are those that its codec passes on."""

from __future__ import annotations

import pytest

from glassway.pipeline.types import ChatRequest
from glassway.providers.codecs import (
    anthropic_request,
    bedrock_request,
    cohere_request,
    gemini_config,
    gemini_request,
    ollama_request,
)
from glassway.providers.foreign import FOREIGN, PARAMETERS, is_foreign_tool

CODECS = {
    "anthropic": anthropic_request.OWN_PARAMETERS,
    "bedrock": bedrock_request.PASSED,
    "cohere": cohere_request.OWN_PARAMETERS,
    "gemini": (gemini_request.OWN_BODY - {"store"}) | gemini_config.OWN_CONFIG,
    "ollama": ollama_request.OWN_PARAMETERS,
}


@pytest.mark.parametrize("codec", CODECS)
def test_every_name_of_a_codecs_own_is_foreign_elsewhere(codec: str) -> None:
    assert CODECS[codec] <= PARAMETERS[codec]


def test_openais_own_are_nobodys() -> None:
    assert not FOREIGN & ChatRequest.model_fields.keys()
    assert not FOREIGN & {"store", "prompt_cache_key", "verbosity", "prediction", "web_search_options"}


@pytest.mark.parametrize("kind", ["web_search_20250305", "googleSearch", "retrieval", "openrouter:web_search"])
def test_tools_of_others_are_known_by_their_spelling(kind: str) -> None:
    assert is_foreign_tool(kind)


@pytest.mark.parametrize("kind", ["function", "custom", "web_search_2025_08_26", "web_search", "mcp", "local_shell"])
def test_openais_tools_are_not(kind: str) -> None:
    assert not is_foreign_tool(kind)
