"""Attributes and events of spans, made of a call's record. The same for spans of our own and of a foreign provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..errors import error_kind
from ..facts import ATTEMPTS, CACHE, COST, Attempt, given_again
from . import names

if TYPE_CHECKING:
    from ..record import Record
    from ..trace import Frame
    from ..types import Usage
    from .policy import Redact
    from .schema import Generation

Attributes = dict[str, Any]

FAILED = frozenset({"failed", "interrupted", "timeout"})
"""Ends that are errors of the span. That the caller went away is none."""

_KINDS = {"embeddings": "EMBEDDING", "rerank": "RERANKER"}
_HITS = frozenset({"hit", "shared"})


def of_call(record: Record, generation: Generation) -> Attributes:
    """The call's span: the only one with the operation's name and with usage."""
    found: Attributes = {
        names.OPERATION.name: names.OPERATIONS[record.operation],
        names.PROVIDER.name: names.PROVIDERS.get(record.vendor or "", record.vendor or names.NONE),
        names.REQUEST_MODEL.name: record.model or record.requested,
        names.SPAN_KIND.name: _KINDS.get(record.operation, "LLM"),
        names.CALL_ID.name: record.call_id,
        names.REQUESTED.name: record.requested,
        names.END.name: record.end,
        names.ATTEMPT_COUNT.name: len(record.attempts),
    }
    if record.end in FAILED:
        found[names.ERROR_TYPE.name] = record.error
    if record.tenant:
        found[names.TENANT.name] = record.tenant
    if record.beside:
        found[names.BESIDE.name] = record.beside
    if record.tags:
        found[names.TAGS.name] = list(record.tags)
    if record.stream:
        found |= _of_stream(record)
    meaning = record.trace.meaning if record.trace else None
    if meaning is not None:
        found |= {name: value for name, value in meaning.attributes.items() if _in_generation(name, generation)}
    return found | _of_server(record) | _of_cache(record) | _of_cost(record) | _of_usage(record)


def of_stage(frame: Frame, name: str, self_ns: int) -> Attributes:
    """A stage's span."""
    kind = "GUARDRAIL" if name.split("#")[0] == "Guardrails" else "CHAIN"
    found: Attributes = {
        names.SPAN_KIND.name: kind,
        names.STAGE_INDEX.name: frame.index,
        names.SELF_S.name: self_ns / 1e9,
    }
    if frame.error is not None and is_failure(frame.error):
        found[names.ERROR_TYPE.name] = error_kind(frame.error)
    return found


def of_attempt(attempt: Attempt) -> Attributes:
    """A request's span: HTTP's attributes, and ours. No usage under the convention's names: backends would add it up twice."""
    found: dict[str, Any] = {
        names.SPAN_KIND.name: "CHAIN",
        names.ATTEMPT_NUMBER.name: attempt.number,
        names.ATTEMPT_REASON.name: attempt.reason,
        names.ATTEMPT_PROVIDER.name: attempt.provider,
        names.ATTEMPT_MODEL.name: attempt.model,
        names.ATTEMPT_USEFUL.name: attempt.useful,
        names.ATTEMPT_REQUEST_ID.name: attempt.request_id,
        names.HTTP_METHOD.name: attempt.http_method,
        names.HTTP_STATUS.name: attempt.status_code,
        names.HTTP_RESEND.name: attempt.number - 1 or None,
        names.SERVER_ADDRESS.name: attempt.server_address,
        names.SERVER_PORT.name: attempt.server_port,
        names.ERROR_TYPE.name: attempt.error if attempt.error != "cancelled" else None,
    }
    if attempt.usage is not None:
        found[names.ATTEMPT_INPUT.name] = attempt.usage.prompt_tokens
        found[names.ATTEMPT_OUTPUT.name] = attempt.usage.completion_tokens
    if attempt.first_chunk_ns is not None:
        found[names.ATTEMPT_CHUNKS.name] = attempt.chunks
        found[names.ATTEMPT_FIRST_CHUNK.name] = (attempt.first_chunk_ns - attempt.start_ns) / 1e9
    return {name: value for name, value in found.items() if value is not None}


def of_fact(slot: str, value: object) -> tuple[str, Attributes] | None:
    """The event that a fact becomes; None for attempts and costs, which are shown otherwise."""
    if slot in (ATTEMPTS.name, COST.name):
        return None
    declared = names.EVENT_OF_FACT.get(slot)
    name = declared.name if declared else f"{names.FACT_EVENT}.{slot}"
    wanted = frozenset(declared.fields) if declared else None
    return name, {
        f"{name}.{field}": plain for field, plain in _plain_fields(value) if wanted is None or field in wanted
    }


def attempt_name(attempt: Attempt) -> str:
    """HTTP's rule: the method; without one, what it is."""
    return attempt.http_method or "attempt"


def call_name(record: Record) -> str:
    """`chat gpt-4o-mini`."""
    return f"{names.OPERATIONS[record.operation]} {record.model or record.requested}"


def is_failure(error: BaseException | None) -> bool:
    """Whether a stage's span is an error; a cancellation is none."""
    return error is not None and error_kind(error) != "cancelled"


def redacted(attributes: Mapping[str, Any], redact: Redact | None) -> Attributes:
    """The attributes with the hook applied to all text that is not ours: names, ids and closed values stay."""
    if redact is None:
        return dict(attributes)
    return {name: value if _ours(name) else _redacted(value, redact) for name, value in attributes.items()}


def _redacted(value: object, redact: Redact) -> object:
    if isinstance(value, str):
        return redact(value)
    return [_redacted(item, redact) for item in value] if isinstance(value, (list, tuple)) else value


_OURS = frozenset(
    {names.CALL_ID.name, names.PROVIDER.name, names.SERVER_ADDRESS.name, names.COST_TABLE.name, names.HTTP_METHOD.name}
)


def _ours(name: str) -> bool:
    declared = names.attribute_of(name)
    return name in _OURS or (declared is not None and declared.values is not None)


def _in_generation(name: str, generation: Generation) -> bool:
    declared = names.attribute_of(name)
    return declared is None or generation in declared.generations


def _of_stream(record: Record) -> Attributes:
    found: Attributes = {
        names.STREAM.name: True,
        names.CHUNKS.name: record.chunks,
        names.CONSUMER_S.name: record.consumer_s,
    }
    if record.first_chunk_s is not None:
        found[names.FIRST_CHUNK.name] = record.first_chunk_s
    return found


def _of_server(record: Record) -> Attributes:
    attempts = record.attempts
    answering = next((attempt for attempt in attempts if attempt.useful), attempts[-1] if attempts else None)
    if answering is None or answering.server_address is None:
        return {}
    port = {} if answering.server_port is None else {names.SERVER_PORT.name: answering.server_port}
    return {names.SERVER_ADDRESS.name: answering.server_address} | port


def _of_cache(record: Record) -> Attributes:
    verdict = record.facts.get(CACHE.name)
    if verdict is None:
        return {}
    found: Attributes = {names.CACHE_VERDICT.name: verdict.verdict}
    if verdict.saved_usd is not None:
        found[names.SAVED_USD.name] = float(verdict.saved_usd)
    return found


def _of_cost(record: Record) -> Attributes:
    cost = record.cost
    if cost is None:
        return {}
    found: Attributes = {names.COST_STATUS.name: cost.status, names.COST_SOURCE.name: cost.usage_source}
    if cost.price_table:
        found[names.COST_TABLE.name] = cost.price_table
    if cost.saved_usd:
        found[names.SAVED_USD.name] = float(cost.saved_usd)
    if cost.amount_usd is not None:
        found[names.COST_USD.name] = found[names.USAGE_COST.name] = float(cost.amount_usd)
        found[names.COST_WASTED.name] = float(cost.wasted_usd)
    return found


def _of_usage(record: Record) -> Attributes:
    """Tokens that were spent on this call. An answer from our own cache spent none."""
    if record.usage is None or given_again(record.facts) is not None:
        return {}
    return _tokens(record.usage)


def _tokens(usage: Usage) -> Attributes:
    parts = {
        names.CACHE_READ_TOKENS.name: usage.cached_tokens,
        names.CACHE_WRITE_TOKENS.name: usage.cache_write_tokens,
        names.REASONING_TOKENS.name: usage.reasoning_tokens,
    }
    whole = {names.INPUT_TOKENS.name: usage.prompt_tokens, names.OUTPUT_TOKENS.name: usage.completion_tokens}
    return whole | {name: tokens for name, tokens in parts.items() if tokens}


def _plain_fields(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        found = [(name, _plain(item)) for name, item in value._asdict().items()]
        return [(name, plain) for name, plain in found if plain not in (None, "", [])]
    if not is_dataclass(value):
        plain = _plain(value)
        return [] if plain is None else [("value", plain)]
    found = [(field.name, _plain(getattr(value, field.name))) for field in fields(value) if field.repr]
    return [(name, plain) for name, plain in found if plain is not None and plain != ""]


def _plain(value: object) -> str | bool | int | float | list[str] | None:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return [str(item) for item in value] if isinstance(value, (list, tuple, set, frozenset)) else str(value)
