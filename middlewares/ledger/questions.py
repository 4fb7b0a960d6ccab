"""What a ledger can be asked: what was spent, by whatever the calls have in common, and the calls themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ...pipeline.errors import ConfigError
from .database import Database
from .row import NAMES

Row = Mapping[str, Any]
"""One call: column by name; money is `Decimal`, `started_at` a datetime in UTC."""

GROUPS: Mapping[str, str] = {
    "model": "model",
    "provider": "provider",
    "vendor": "vendor",
    "requested": "requested",
    "tenant": "tenant",
    "tag": "tag.value",
    "operation": "operation",
    "end": "ended",
    "error": "error",
    "cache": "cache",
    "day": "",
}
"""What calls can be grouped by, and its SQL. A call with several tags counts under each of them."""

_MONEY = ("cost_usd", "wasted_usd", "saved_usd")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which calls are meant: those that began at `since` or later and before `until`, with these values."""

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    model: str | None = None
    provider: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The SQL condition and its values."""
        tests: dict[str, Any] = {
            "started_us >= ?": _us(self.since),
            "started_us < ?": _us(self.until),
            "tenant = ?": self.tenant,
            "model = ?": self.model,
            "provider = ?": self.provider,
        }
        asked = {test: value for test, value in tests.items() if value is not None}
        return (f"WHERE {' AND '.join(asked)}" if asked else ""), list(asked.values())


class Spent(NamedTuple):
    """One line of a statement of costs."""

    group: tuple[str, ...]
    calls: int
    failures: int
    unpriced: int
    """Calls whose cost is not known: they are not in `cost_usd`."""
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None
    """Of the calls whose cost is known; None if there is none of them."""
    wasted_usd: Decimal
    saved_usd: Decimal
    duration_s: float
    """Of all calls together."""


def spending(database: Database, asked: Asked = Asked(), by: Sequence[str] = ("model",)) -> list[Spent]:
    """What was spent, the dearest group first. Sums are exact. Raises `ConfigError` for a group that is none."""
    if unknown := [name for name in by if name not in GROUPS]:
        raise ConfigError(f"by: unknown {', '.join(unknown)}. Known are {', '.join(GROUPS)}.")
    groups = [database.day() if name == "day" else GROUPS[name] for name in by]
    condition, values = asked.where()
    shown = "".join(f"coalesce({group}, ''), " for group in groups)
    together = f"GROUP BY {', '.join(groups)}" if groups else ""
    question = f"""
        SELECT {shown} count(*), sum(CASE WHEN error IS NULL THEN 0 ELSE 1 END),
            sum(CASE WHEN cost_status IS NOT NULL AND cost_usd IS NULL THEN 1 ELSE 0 END),
            coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
            exact_sum(cost_usd), exact_sum(wasted_usd), exact_sum(saved_usd), coalesce(sum(duration_s), 0)
        FROM calls {database.tags() if "tag" in by else ""} {condition} {together}"""  # noqa: S608 - names of ours; values are bound
    lines = [_spent(row, len(groups)) for row in database.ask(question, values)]
    return sorted((line for line in lines if line.calls), key=lambda line: (-(line.cost_usd or 0), line.group))


def _spent(row: Sequence[Any], groups: int) -> Spent:
    names, (calls, failures, unpriced, prompt, completion, *money, duration_s) = row[:groups], row[groups:]
    cost_usd, wasted_usd, saved_usd = (None if amount is None else Decimal(amount) for amount in money)
    return Spent(
        tuple(map(str, names)),
        calls,
        int(failures or 0),
        int(unpriced or 0),
        int(prompt),
        int(completion),
        cost_usd,
        wasted_usd or Decimal(0),
        saved_usd or Decimal(0),
        float(duration_s),
    )


def calls(database: Database, asked: Asked = Asked()) -> Iterator[Row]:
    """The calls, in the order in which they began, one after another: there may be millions."""
    condition, values = asked.where()
    question = f"SELECT {', '.join(NAMES)} FROM calls {condition} ORDER BY started_us, call_id"  # noqa: S608 - as above
    for values_of_row in database.ask(question, values):
        row = dict(zip(NAMES, values_of_row, strict=True))
        started_us = row.pop("started_us")
        for name in _MONEY:
            row[name] = None if row[name] is None else Decimal(row[name])
        row["stream"] = bool(row["stream"])
        yield {"started_at": datetime.fromtimestamp(started_us / 1e6, UTC), **row}


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1e6)
