"""One call as a row: plain columns to ask by, and the whole record as JSON. No content and no secrets, as in every record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from ...pipeline.facts import CACHE, FALLBACKS, GUARDRAILS, RETRIES
from ...pipeline.record import Record


class Column(NamedTuple):
    """A column's name, and its type in both databases."""

    name: str
    sqlite: str
    postgres: str


_TEXT, _COUNT, _SECONDS = ("TEXT", "TEXT"), ("INTEGER", "BIGINT"), ("REAL", "DOUBLE PRECISION")
_MONEY = ("TEXT", "NUMERIC")
"""SQLite has no decimals: text stays exact, and is added up by an aggregate of ours."""

COLUMNS: Sequence[Column] = tuple(
    Column(name, *kind)
    for name, kind in (
        ("call_id", ("TEXT PRIMARY KEY", "TEXT PRIMARY KEY")),
        ("started_us", _COUNT),
        ("duration_s", _SECONDS),
        ("operation", _TEXT),
        ("requested", _TEXT),
        ("provider", _TEXT),
        ("vendor", _TEXT),
        ("model", _TEXT),
        ("tenant", _TEXT),
        ("tags", _TEXT),
        ("ended", _TEXT),
        ("error", _TEXT),
        ("stream", _COUNT),
        ("first_chunk_s", _SECONDS),
        ("prompt_tokens", _COUNT),
        ("completion_tokens", _COUNT),
        ("cached_tokens", _COUNT),
        ("reasoning_tokens", _COUNT),
        ("cost_usd", _MONEY),
        ("cost_status", _TEXT),
        ("wasted_usd", _MONEY),
        ("saved_usd", _MONEY),
        ("price_table", _TEXT),
        ("attempts", _COUNT),
        ("retries", _COUNT),
        ("fallbacks", _COUNT),
        ("cache", _TEXT),
        ("blocked", _COUNT),
        ("trace_id", _TEXT),
        ("request_id", _TEXT),
        ("record", _TEXT),
    )
)
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)


def row_of(record: Record) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    usage, cost, verdict = record.usage, record.cost, record.get(CACHE)
    blocked = sum(each.verdict == "blocked" for each in record.get(GUARDRAILS))
    return (
        record.call_id,
        record.started_at_ns // 1000,
        record.duration_s,
        record.operation,
        record.requested,
        record.provider,
        record.vendor,
        record.model,
        record.tenant,
        to_json(list(record.tags)).decode(),
        record.end,
        record.error,
        int(record.stream),
        record.first_chunk_s,
        usage.prompt_tokens if usage else None,
        usage.completion_tokens if usage else None,
        usage.cached_tokens if usage else None,
        usage.reasoning_tokens if usage else None,
        _money(cost.amount_usd if cost else None),
        cost.status if cost else None,
        _money(cost.wasted_usd if cost else None),
        _money(cost.saved_usd if cost else None),
        cost.price_table if cost else None,
        len(record.attempts),
        len(record.get(RETRIES)),
        len(record.get(FALLBACKS)),
        verdict.verdict if verdict else None,
        blocked,
        record.trace_id,
        record.request_id,
        to_json(record.to_dict()).decode(),
    )


def _money(amount: Any) -> str | None:
    return None if amount is None else format(amount, "f")
