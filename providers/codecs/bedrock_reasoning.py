"""How hard to think, and sampling: what Converse has no field for goes to the model itself.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-reasoning.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ...pipeline.types import ChatRequest
from . import anthropic_reasoning
from .bedrock_models import Traits
from .notes import Note

_LEVELS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def put_inference(body: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Put limits, sampling and reasoning into `body`, whose `toolConfig` and own fields are there."""
    config: dict[str, Any] = {}
    if request.output_limit is not None:
        config["maxTokens"] = request.output_limit
    additional = body.setdefault("additionalModelRequestFields", {})
    if traits.is_claude:
        _as_claude(body, config, request, traits, note)
    else:
        _reason(additional, request, traits, note)
        _sample(config, additional, request, traits, note)
    if traits.family.effort == "reasoningConfig":
        _leave_room(config, additional, note)
    if stops := [stop for stop in request.stop_sequences if stop]:
        config["stopSequences"] = stops
    if config:
        body["inferenceConfig"] = config
    if not additional:
        del body["additionalModelRequestFields"]


def _as_claude(body: dict[str, Any], config: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    """Anthropic's own rules hold here too: they are asked, and their answer is put where Converse has its place."""
    additional = body["additionalModelRequestFields"]
    forced = body.get("toolConfig", {}).get("toolChoice", {}).keys() & {"any", "tool"}
    asked: dict[str, Any] = {
        "max_tokens": request.output_limit or traits.claude.default_max_tokens,
        "messages": [_seen_by_anthropic(turn) for turn in body["messages"]],
        "tool_choice": {"type": "any"} if forced else None,
        **{name: additional[name] for name in ("thinking", "output_config") if name in additional},
    }
    if "effort" in body.get("outputConfig", {}):
        asked["output_config"] = {"effort": body["outputConfig"]["effort"]}
    anthropic_reasoning.reason(asked, request, traits.claude, note)
    anthropic_reasoning.sample(asked, request, traits.claude, note)
    if "output_config" in asked and "output_config" not in additional:
        body["outputConfig"] = {**body.get("outputConfig", {}), "effort": asked["output_config"]["effort"]}
    _note_missing(("seed", "frequency_penalty", "presence_penalty"), request, note)
    config |= {
        ours: asked[theirs] for theirs, ours in (("temperature", "temperature"), ("top_p", "topP")) if theirs in asked
    }
    additional.pop("thinking", None)
    additional |= {name: asked[name] for name in ("thinking", "top_k") if name in asked}


def _seen_by_anthropic(turn: dict[str, Any]) -> dict[str, Any]:
    kinds = {"reasoningContent": "thinking", "toolUse": "tool_use"}
    return {
        "role": turn["role"],
        "content": [{"type": kinds.get(next(iter(block)), "text")} for block in turn["content"]],
    }


def _reason(additional: dict[str, Any], request: ChatRequest, traits: Traits, note: Note) -> None:
    effort, field = request.reasoning_effort, traits.family.effort
    if effort is None or (field and field in additional):
        return
    if field == "reasoningConfig" and effort == "none":
        additional[field] = {"type": "disabled"}
    elif not field or effort not in _LEVELS:
        note("reasoning_effort", "dropped", "this model has no such setting, or not this level")
        return
    else:
        level = _LEVELS[effort]
        additional[field] = {"type": "enabled", "maxReasoningEffort": level} if field == "reasoningConfig" else level
    clamped = effort not in ("none", _LEVELS.get(effort))
    note("reasoning_effort", "clamped" if clamped else "renamed", f"sent as additionalModelRequestFields.{field}")


def _sample(
    config: dict[str, Any], additional: dict[str, Any], request: ChatRequest, traits: Traits, note: Note
) -> None:
    for ours, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        if (value := getattr(request, ours)) is None:
            continue
        config[theirs] = min(1.0, max(0.0, value)) if not 0 <= value <= 1 else value
        if config[theirs] != value:
            note(ours, "clamped", "the vendor's range is 0 to 1")
    for name in ("top_k", "seed", "frequency_penalty", "presence_penalty"):
        value, place = getattr(request, name), traits.family.additional.get(name)
        if place is None:
            _note_missing((name,), request, note)
        elif value is not None:
            _put(additional, place, value)
            note(name, "renamed", f"sent as additionalModelRequestFields.{place}")


def _note_missing(names: Iterable[str], request: ChatRequest, note: Note) -> None:
    for name in names:
        if getattr(request, name):
            note(name, "dropped", "Converse has no such parameter, nor has this model")


def _put(fields: dict[str, Any], path: str, value: Any) -> None:
    outer, _, inner = path.rpartition(".")
    if not outer:
        fields.setdefault(inner, value)
    else:
        fields[outer] = {inner: value, **fields.get(outer, {})}


def _leave_room(config: dict[str, Any], additional: dict[str, Any], note: Note) -> None:
    """Nova refuses limits and sampling beside its highest effort.

    Source: https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
    """
    if additional.get("reasoningConfig", {}).get("maxReasoningEffort") != "high":
        return
    for name in ("maxTokens", "temperature", "topP"):
        if config.pop(name, None) is not None:
            note(
                {"maxTokens": "max_tokens", "topP": "top_p"}.get(name, name),
                "dropped",
                "not taken beside reasoning effort high",
            )
