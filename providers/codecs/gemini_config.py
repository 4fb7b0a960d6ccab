"""`generationConfig`: sampling, limits, formats, how hard to think.

Source: https://ai.google.dev/api/generate-content#generationconfig
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.types import ChatRequest
from .gemini_models import Traits
from .gemini_names import Json, camel, camelised
from .gemini_schema import ordered, put_schema
from .notes import Note

OWN_CONFIG: Final = frozenset(
    {"thinkingConfig", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "speechConfig"}
    | {"mediaResolution", "imageConfig", "audioTimestamp", "enableEnhancedCivicAnswers", "routingConfig", "modelConfig"}
    | {"responseLogprobs", "candidateCount", "maxOutputTokens", "stopSequences", "topP", "topK"}
    | {"audioTranscriptionConfig", "translationConfig", "enableAffectiveDialog"}
)
"""Fields of `generationConfig` that may also stand beside OpenAI's parameters."""

_BUDGETS: Final = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768}
_LEVELS: Final = {"minimal": 0, "low": 1, "medium": 2, "high": 3, "xhigh": 3, "max": 3}
"""Source of both: https://ai.google.dev/gemini-api/docs/openai#thinking"""

_MOST_STOPS: Final = 5
_MOST_LOGPROBS: Final = 20


def generation_config(request: ChatRequest, traits: Traits, note: Note) -> Json:
    """What the request says, over which the caller's own `generationConfig` goes, by its fields."""
    config = _sampling(request, note)
    _put_stops(config, request, note)
    _put_logprobs(config, request, note)
    _put_modalities(config, request, note)
    _put_format(config, request, traits, note)
    own = _own(request)
    if "thinkingConfig" not in own:
        _put_thinking(config, request, traits, note)
    return config | own


def _own(request: ChatRequest) -> Json:
    beside = {camel(name): value for name, value in request.extra.items()}
    config = beside.get("generationConfig")
    own = {name: value for name, value in beside.items() if name in OWN_CONFIG}
    return camelised(own | config if isinstance(config, dict) else own)  # type: ignore[no-any-return]  # an object stays one


def _sampling(request: ChatRequest, note: Note) -> Json:
    wanted: Json = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.output_limit,
        "candidateCount": request.n,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
    }
    config = {name: value for name, value in wanted.items() if value is not None}
    if (request.n or 1) == 1:
        config.pop("candidateCount", None)
    if request.temperature is not None and not 0 <= request.temperature <= 2:
        config["temperature"] = min(2.0, max(0.0, request.temperature))
        note("temperature", "clamped", "the vendor's range is 0 to 2")
    return config


def _put_stops(config: Json, request: ChatRequest, note: Note) -> None:
    stops = [stop for stop in request.stop_sequences if stop]
    if len(stops) > _MOST_STOPS:
        note("stop", "clamped", f"the vendor takes {_MOST_STOPS} stop sequences; the first ones are sent")
    if stops:
        config["stopSequences"] = stops[:_MOST_STOPS]


def _put_logprobs(config: Json, request: ChatRequest, note: Note) -> None:
    if not request.logprobs:
        return
    config["responseLogprobs"] = True
    if request.top_logprobs:
        config["logprobs"] = min(request.top_logprobs, _MOST_LOGPROBS)
        if request.top_logprobs > _MOST_LOGPROBS:
            note("top_logprobs", "clamped", f"the vendor gives {_MOST_LOGPROBS} at most")


def _put_modalities(config: Json, request: ChatRequest, note: Note) -> None:
    if request.modalities:
        config["responseModalities"] = [name.upper() for name in request.modalities]
    voice = (request.audio or {}).get("voice")
    if isinstance(voice, str):
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
        note("audio.voice", "renamed", "sent as speechConfig; the voices are Gemini's")
    if (request.audio or {}).get("format"):
        note("audio.format", "dropped", "Gemini speaks PCM")


def _put_format(config: Json, request: ChatRequest, traits: Traits, note: Note) -> None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return
    config["responseMimeType"] = "application/json"
    schema = (wanted.json_schema or {}).get("schema")
    if not isinstance(schema, dict):
        return
    if traits.takes_json_schema:
        config["responseJsonSchema"] = schema
    else:
        put_schema(config, schema, "responseSchema", "responseJsonSchema", traits, note)
        config["responseSchema"] = ordered(config["responseSchema"])
    note(
        "response_format",
        "renamed",
        f"sent as {'responseJsonSchema' if traits.takes_json_schema else 'responseSchema'}",
    )


def _put_thinking(config: Json, request: ChatRequest, traits: Traits, note: Note) -> None:
    """`reasoning_effort` as the model's generation takes it."""
    effort = request.reasoning_effort
    if effort is None:
        return
    if effort != "none" and effort not in _BUDGETS:
        note("reasoning_effort", "dropped", f"expected one of none, {', '.join(_BUDGETS)}")
    elif not traits.thinks:
        note("reasoning_effort", "dropped", "this model does not think")
    elif traits.thinks_by_level:
        config["thinkingConfig"] = _level(effort, traits, note)
    else:
        config["thinkingConfig"] = _budget(effort, traits, note)


def _level(effort: str, traits: Traits, note: Note) -> Json:
    if effort == "none":
        note("reasoning_effort", "clamped", f"this model always thinks; sent as thinkingLevel {traits.levels[0]}")
        return {"thinkingLevel": traits.levels[0]}
    wanted = ("MINIMAL", "LOW", "MEDIUM", "HIGH")[_LEVELS[effort] :]
    level = next((one for one in wanted if one in traits.levels), traits.levels[-1])
    action: Any = "renamed" if level == effort.upper() else "clamped"
    note("reasoning_effort", action, f"sent as thinkingLevel {level}")
    return {"thinkingLevel": level, "includeThoughts": True}


def _budget(effort: str, traits: Traits, note: Note) -> Json:
    least, most = traits.budget
    if effort == "none" and traits.can_stop_thinking:
        note("reasoning_effort", "renamed", "sent as a thinking budget of 0")
        return {"thinkingBudget": 0}
    if effort == "none":
        note("reasoning_effort", "clamped", f"this model always thinks; sent as a thinking budget of {least}")
        return {"thinkingBudget": least}
    budget = max(least, min(_BUDGETS[effort], most))
    note("reasoning_effort", "emulated", f"sent as a thinking budget of {budget} tokens")
    return {"thinkingBudget": budget, "includeThoughts": True}
