"""A chat request as the body of `generateContent`.

Source: https://ai.google.dev/api/generate-content#request-body
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.types import ChatRequest
from .gemini_config import OWN_CONFIG, generation_config
from .gemini_contents import conversation
from .gemini_models import traits_of
from .gemini_names import Json, camel, camelised
from .gemini_tools import function_calling_config, tools_of
from .notes import Note

OWN_BODY: Final = frozenset({"safetySettings", "cachedContent", "labels", "modelArmorConfig", "serviceTier", "store"})
"""Fields beside OpenAI's that are Gemini's own, in either spelling: passed on here, of no use to any other vendor."""

_READ: Final = OWN_BODY | OWN_CONFIG | {"generationConfig", "toolConfig", "webSearchOptions"}
_NOT_THERE: Final = {"logit_bias": None, "user": None, "metadata": None}
_TIERS: Final = {"flex": "flex", "priority": "priority", "standard": "standard"}
_NO_TIERS: Final = (None, "auto", "default")


def encode_body(request: ChatRequest, model: str, note: Note) -> Json:
    """The body for `model`; everything that it cannot say is noted."""
    traits = traits_of(model)
    talk = conversation(request.messages, traits, note)
    body: Json = {"contents": talk.turns}
    if talk.system:
        body["systemInstruction"] = talk.system
    tools = tools_of(request, traits, note)
    if tools:
        body["tools"] = tools
    if config := _tool_config(request, tools, note):
        body["toolConfig"] = config
    if settings := generation_config(request, traits, note):
        body["generationConfig"] = settings
    beside = {camel(name): value for name, value in request.extra.items()}
    body |= {name: camelised({name: value})[name] for name, value in beside.items() if name in OWN_BODY}
    _put_tier(body, request, note)
    _note_missing(request, note)
    return body


def _tool_config(request: ChatRequest, tools: list[Json], note: Note) -> Json:
    """The choice among functions, and the caller's own `toolConfig`, by its fields."""
    given = next((value for name, value in request.extra.items() if camel(name) == "toolConfig"), None)
    own: Json = camelised(given) if isinstance(given, dict) else {}
    calling: Json = dict(own.get("functionCallingConfig") or function_calling_config(request, tools, note) or {})
    if calling.pop("streamFunctionCallArguments", None):
        note("toolConfig.streamFunctionCallArguments", "dropped", "arguments are read whole")
    return own | ({"functionCallingConfig": calling} if calling else {})


def _put_tier(body: Json, request: ChatRequest, note: Note) -> None:
    """Source: https://ai.google.dev/gemini-api/docs/optimization"""
    if request.service_tier in _TIERS:
        body["serviceTier"] = _TIERS[request.service_tier]
    elif request.service_tier not in _NO_TIERS:
        note("service_tier", "dropped", "expected flex, standard or priority")


def _note_missing(request: ChatRequest, note: Note) -> None:
    for name, nothing in _NOT_THERE.items():
        if getattr(request, name) not in (nothing, {}):
            note(name, "dropped", "Gemini has no such parameter")
    known: Any = _READ
    for name in request.extra:
        if camel(name) not in known:
            note(name[:80], "dropped", "not a parameter of generateContent")
