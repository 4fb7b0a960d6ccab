"""Glassway: the LLM gateway that you can see through.

    import glassway as gw

    gw.chat("openai/gpt-4o-mini", "What is 2+2?").text

Everything is loaded when it is first used: importing this costs next to nothing, opens no socket and reads no environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline import errors, presets
    from .pipeline.billing import calculate_cost, estimate_cost
    from .pipeline.call import Call, CallOptions, Limits, Target
    from .pipeline.client import Client
    from .pipeline.config import load_config
    from .pipeline.default import (
        achat,
        acompletion,
        aembedding,
        ahealth,
        aimage,
        amoderation,
        aparse,
        arerank,
        arun_tools,
        aspeech,
        atranscription,
        avision,
        batch,
        chat,
        completion,
        default_client,
        embedding,
        explain,
        health,
        image,
        moderation,
        parse,
        quick_setup,
        register,
        registry,
        rerank,
        run_tools,
        setup,
        speech,
        stats,
        transcription,
        unregister,
        update,
        use,
        vision,
        with_fallback,
        with_retry,
    )
    from .pipeline.derived import create_router
    from .pipeline.facts import Slot, Trail
    from .pipeline.outcome import Outcome
    from .pipeline.pipeline import Pipeline
    from .pipeline.plan import Plan, Rule
    from .pipeline.record import Record
    from .pipeline.registry import Registry
    from .pipeline.stream import Handler, Middleware, Reply, Stream, observed, when_done
    from .pipeline.syncstream import SyncStream
    from .pipeline.telemetry import Telemetry
    from .pipeline.tokens import estimate_tokens
    from .pipeline.types import ChatChunk, ChatRequest, ChatResponse, Message, Request, Response, Usage
    from .providers import (
        Anthropic,
        OpenAI,
        OpenAICompatible,
        Simulated,
        list_providers,
        provider,
        provider_available,
        provider_info,
    )

__version__ = "0.1.0"

_PLACES = {
    "pipeline": ("errors", "presets"),
    "pipeline.billing": ("calculate_cost", "estimate_cost"),
    "pipeline.call": ("Call", "CallOptions", "Limits", "Target"),
    "pipeline.client": ("Client",),
    "pipeline.config": ("load_config",),
    "pipeline.default": (
        "achat",
        "acompletion",
        "aembedding",
        "ahealth",
        "aimage",
        "amoderation",
        "aparse",
        "arerank",
        "arun_tools",
        "aspeech",
        "atranscription",
        "avision",
        "batch",
        "chat",
        "completion",
        "default_client",
        "embedding",
        "explain",
        "health",
        "image",
        "moderation",
        "parse",
        "quick_setup",
        "register",
        "registry",
        "rerank",
        "run_tools",
        "setup",
        "speech",
        "stats",
        "transcription",
        "unregister",
        "update",
        "use",
        "vision",
        "with_fallback",
        "with_retry",
    ),
    "pipeline.derived": ("create_router",),
    "pipeline.facts": ("Slot", "Trail"),
    "pipeline.outcome": ("Outcome",),
    "pipeline.pipeline": ("Pipeline",),
    "pipeline.plan": ("Plan", "Rule"),
    "pipeline.record": ("Record",),
    "pipeline.registry": ("Registry",),
    "pipeline.stream": ("Handler", "Middleware", "Reply", "Stream", "observed", "when_done"),
    "pipeline.syncstream": ("SyncStream",),
    "pipeline.telemetry": ("Telemetry",),
    "pipeline.tokens": ("estimate_tokens",),
    "pipeline.types": ("ChatChunk", "ChatRequest", "ChatResponse", "Message", "Request", "Response", "Usage"),
    "providers": (
        "Anthropic",
        "OpenAI",
        "OpenAICompatible",
        "Simulated",
        "list_providers",
        "provider",
        "provider_available",
        "provider_info",
    ),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Anthropic",
    "Call",
    "CallOptions",
    "ChatChunk",
    "ChatRequest",
    "ChatResponse",
    "Client",
    "Handler",
    "Limits",
    "Message",
    "Middleware",
    "OpenAI",
    "OpenAICompatible",
    "Outcome",
    "Pipeline",
    "Plan",
    "Record",
    "Registry",
    "Reply",
    "Request",
    "Response",
    "Rule",
    "Simulated",
    "Slot",
    "Stream",
    "SyncStream",
    "Target",
    "Telemetry",
    "Trail",
    "Usage",
    "__version__",
    "achat",
    "acompletion",
    "aembedding",
    "ahealth",
    "aimage",
    "amoderation",
    "aparse",
    "arerank",
    "arun_tools",
    "aspeech",
    "atranscription",
    "avision",
    "batch",
    "calculate_cost",
    "chat",
    "completion",
    "create_router",
    "default_client",
    "embedding",
    "errors",
    "estimate_cost",
    "estimate_tokens",
    "explain",
    "health",
    "image",
    "list_providers",
    "load_config",
    "moderation",
    "observed",
    "parse",
    "presets",
    "provider",
    "provider_available",
    "provider_info",
    "quick_setup",
    "register",
    "registry",
    "rerank",
    "run_tools",
    "setup",
    "speech",
    "stats",
    "transcription",
    "unregister",
    "update",
    "use",
    "vision",
    "when_done",
    "with_fallback",
    "with_retry",
]


def __getattr__(name: str) -> Any:
    place = _MODULE_OF.get(name)
    if place is None:
        raise AttributeError(f"module 'glassway' has no attribute {name!r}")
    module = import_module(f".{place}", __name__)
    value = import_module(f".{place}.{name}", __name__) if place == "pipeline" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
