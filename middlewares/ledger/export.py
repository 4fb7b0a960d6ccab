"""A ledger as a file for other programs: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from ...pipeline.errors import ConfigError, MissingExtraError
from .questions import Row
from .row import NAMES

Progress = Callable[[int], object]
"""Told how many calls were written since it was last told."""

_CHUNK = 5_000


def export(rows: Iterable[Row], path: Path, progress: Progress = lambda _: None) -> int:
    """Write calls to a file whose name says the form: `.csv`, `.jsonl` or `.parquet`. Returns how many.

    Money is exact: text in CSV and JSON, decimal128(38, 18) in Parquet. Nothing is written if the form is unknown
    (`ConfigError`) or Parquet's library is missing (`MissingExtraError`). A file that is there is replaced once all is written.
    """
    writers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in writers:
        raise ConfigError(
            f"{path}: expected a name that ends in {', '.join(writers)}, found {path.suffix or 'no ending'!r}."
        )
    whole = path.with_name(f"{path.name}.part")
    try:
        count = writers[path.suffix](iter(rows), whole, progress)
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)
    return count


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _csv(rows: Iterator[Row], path: Path, progress: Progress) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        out: csv.DictWriter[str] | None = None
        for chunk in _chunks(rows):
            if out is None:
                out = csv.DictWriter(file, fieldnames=list(chunk[0]))
                out.writeheader()
            out.writerows([{name: _text(value) for name, value in row.items()} for row in chunk])
            count += len(chunk)
            progress(len(chunk))
    return count


def _jsonl(rows: Iterator[Row], path: Path, progress: Progress) -> int:
    count = 0
    with path.open("wb") as file:
        for chunk in _chunks(rows):
            file.writelines(to_json({name: _plain(value) for name, value in row.items()}) + b"\n" for row in chunk)
            count += len(chunk)
            progress(len(chunk))
    return count


def _parquet(rows: Iterator[Row], path: Path, progress: Progress) -> int:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # it has no types
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Writing Parquet", "parquet") from error
    schema = pa.schema(
        [(name, _arrow(pa, name)) for name in ("started_at", *(name for name in NAMES if name != "started_us"))]
    )
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as out:
        for chunk in _chunks(rows):
            out.write_table(pa.Table.from_pylist([dict(row) for row in chunk], schema=schema))
            count += len(chunk)
            progress(len(chunk))
    return count


_WHOLE = frozenset(
    {"prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "attempts", "retries", "fallbacks"}
    | {"blocked"}
)
_MONEY = frozenset({"cost_usd", "wasted_usd", "saved_usd"})


def _arrow(pa: Any, name: str) -> Any:
    if name in _MONEY:
        return pa.decimal128(38, 18)
    if name in _WHOLE:
        return pa.int64()
    special = {"started_at": pa.timestamp("us", tz="UTC"), "stream": pa.bool_()}
    return special.get(name) or (pa.float64() if name.endswith("_s") else pa.string())


def _text(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if hasattr(value, "isoformat") else value
