"""Prices of the user's own, with the dates from which they hold, in front of any table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from decimal import Decimal

from .errors import ConfigError
from .pricing import OVERRIDE, Price, PriceTable, Rates, usd

PriceEntry = Mapping[str, object]
"""US dollars per million tokens by the names of `Rates`' fields, `request` and `web_search` in dollars each, and `from`: a date."""

_RATES = tuple(item.name for item in fields(Rates))
_KEYS = (*_RATES, "request", "web_search", "from")

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Overridden:
    """`table` with `entries` before it. Made by `with_overrides`."""

    table: PriceTable
    entries: Mapping[str, Sequence[tuple[datetime, Price]]]

    @property
    def name(self) -> str:
        """The inner table's."""
        return self.table.name

    @property
    def version(self) -> str:
        """The inner table's."""
        return self.table.version

    @property
    def date(self) -> str:
        """The inner table's."""
        return self.table.date

    def price(self, provider: str | None, model: str, at: datetime, *, service_tier: str | None = None) -> Price | None:
        """The newest override in force at `at`; where there is none, the inner table's price."""
        for since, price in self.entries.get(f"{provider}/{model}" if provider else model, ()):
            if since <= at:
                return price
        return self.table.price(provider, model, at, service_tier=service_tier)

    def load(self) -> None:
        """Read the inner table's data now."""
        self.table.load()


def with_overrides(table: PriceTable, overrides: Mapping[str, PriceEntry | Sequence[PriceEntry]]) -> Overridden:
    """`table` with prices of the user's own: `{"openai/my-model": {"input": 1.0, "output": 2.0, "from": "2026-01-01"}}`.

    A list of entries is a history. An entry holds from midnight UTC of `from`, or always; it replaces the table's price
    whole, service tiers included. Zero is a price like any other. Raises `ConfigError` with the entry's path.
    """
    return Overridden(table, {target: _history(f"prices.{target}", entry) for target, entry in overrides.items()})


def _history(path: str, entry: PriceEntry | Sequence[PriceEntry]) -> list[tuple[datetime, Price]]:
    entries = [entry] if isinstance(entry, Mapping) else list(entry)
    return sorted((_entry(path, one) for one in entries), key=lambda dated: dated[0], reverse=True)


def _entry(path: str, entry: object) -> tuple[datetime, Price]:
    if not isinstance(entry, Mapping) or not any(name in entry for name in (*_RATES, "request")):
        raise ConfigError(
            f"{path}: expected a mapping with at least one of {', '.join(_RATES)}, found {_shape(entry)}."
        )
    if unknown := sorted(str(key) for key in entry if key not in _KEYS):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}. Expected {', '.join(_KEYS)}.")
    amounts = {}
    for name in entry:
        if name != "from":
            try:
                amounts[name] = usd(entry[name])
            except ValueError as error:
                raise ConfigError(f"{path}.{name}: {error}.") from error
    rates = Rates(**{name: amounts[name] for name in _RATES if name in amounts})
    price = Price(
        rates, request_usd=amounts.get("request", Decimal(0)), web_search_usd=amounts.get("web_search"), table=OVERRIDE
    )
    return _since(f"{path}.from", entry.get("from")), price


def _since(path: str, value: object) -> datetime:
    if value is None:
        return _ALWAYS
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigError(f"{path}: expected an ISO date such as 2026-01-01, found other text.") from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ConfigError(f"{path}: expected an ISO date such as 2026-01-01, found {type(value).__name__}.")


def _shape(value: object) -> str:
    return (
        f"only {', '.join(map(str, value)) or 'an empty mapping'}"
        if isinstance(value, Mapping)
        else type(value).__name__
    )
