"""A chat request as the body of `POST /model/{id}/converse`.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ...pipeline.types import ChatRequest
from .bedrock_content import kind_of
from .bedrock_format import put_format
from .bedrock_messages import conversation
from .bedrock_models import Traits
from .bedrock_reasoning import put_inference
from .bedrock_tools import put_tools
from .notes import Note

PASSED: Final = frozenset(
    {"additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig"}
    | {"performanceConfig", "promptVariables", "requestMetadata"}
)
"""Fields of a request that are Converse's own, and go there as they are."""

_NOT_THERE: Final = {"logit_bias": None, "logprobs": False, "top_logprobs": 0, "audio": None, "user": None}
"""Parameters that the vendor has not, with the value that asks for nothing."""

_TIERS: Final = frozenset({"default", "priority", "flex", "reserved"})
"""Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html"""

_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
_METADATA_ENTRIES: Final = 16


def encode_body(request: ChatRequest, traits: Traits, note: Note) -> dict[str, Any]:
    """The body for the model of `traits`; everything that it cannot say is noted."""
    talk = conversation(request.messages, traits, note)
    body: dict[str, Any] = {"messages": talk.turns}
    if talk.system:
        body["system"] = talk.system
    body |= {name: request.extra[name] for name in sorted(PASSED) if request.extra.get(name) is not None}
    body["additionalModelRequestFields"] = _own_fields(request, traits, note)
    put_tools(body, request, traits, note)
    put_format(body, request, traits, note)
    put_inference(body, request, traits, note)
    _put_rest(body, request, note)
    _fit_cache_points(body, traits, note)
    return body


def _own_fields(request: ChatRequest, traits: Traits, note: Note) -> dict[str, Any]:
    """Fields that belong to the model behind: those that its family has, all of them where nothing is known of it."""
    fields = dict(request.extra.get("additionalModelRequestFields") or {})
    known = traits.family.own
    for name in sorted(request.extra.keys() - PASSED):
        if known is None or name in known:
            fields.setdefault(name, request.extra[name])
        elif name == "betas" and traits.is_claude:
            fields.setdefault("anthropic_beta", request.extra[name])
        else:
            note(
                name[:80],
                "dropped",
                "not a parameter of Converse, nor one known of this model; additionalModelRequestFields are passed on",
            )
    return fields


def _put_rest(body: dict[str, Any], request: ChatRequest, note: Note) -> None:
    _put_metadata(body, request, note)
    if request.service_tier in _TIERS:
        body["serviceTier"] = {"type": request.service_tier}
    elif request.service_tier not in (None, "auto"):
        note("service_tier", "dropped", f"expected one of {', '.join(sorted(_TIERS))}")
    for name, nothing in _NOT_THERE.items():
        if getattr(request, name) not in (None, nothing):
            note(name, "dropped", "Converse has no such parameter")
    if (request.n or 1) > 1:
        note("n", "dropped", "Converse gives one answer")
    if set(request.modalities or ()) - {"text"}:
        note("modalities", "dropped", "Converse answers in text")


def _put_metadata(body: dict[str, Any], request: ChatRequest, note: Note) -> None:
    """Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, `requestMetadata`."""
    given = request.metadata or {}
    fit = {
        key: value for key, value in given.items() if key and _METADATA.fullmatch(key) and _METADATA.fullmatch(value)
    }
    kept = dict(list(fit.items())[:_METADATA_ENTRIES])
    if kept:
        body["requestMetadata"] = {**kept, **body.get("requestMetadata", {})}
        note("metadata", "renamed", "sent as requestMetadata, for the account's invocation logs")
    if len(kept) < len(given):
        note(
            "metadata",
            "clamped",
            f"at most {_METADATA_ENTRIES} entries of 256 letters, digits and : _ @ $ # = / + , - .",
        )


def _fit_cache_points(body: dict[str, Any], traits: Traits, note: Note) -> None:
    for place, blocks in _lists(body):
        points = [block for block in blocks if kind_of(block) == "cachePoint"]
        if not points:
            continue
        if not (traits.caches_tools if place == "toolConfig" else traits.caches):
            blocks[:] = [block for block in blocks if kind_of(block) != "cachePoint"]
            note("cache_control", "dropped", f"this model has no cache points in {place}")
        elif not traits.caches_for_an_hour:
            for point in points:
                ttl = point["cachePoint"].get("ttl", "5m")
                point["cachePoint"] = {"type": "default"}
                if ttl != "5m":
                    note("cache_control.ttl", "clamped", "this model keeps its cache for five minutes")


def _lists(body: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "system", body.get("system", [])
    yield "toolConfig", body.get("toolConfig", {}).get("tools", [])
    for turn in body["messages"]:
        yield "messages", turn["content"]
