"""Where the ledger is kept: a SQLite file by default, a PostgreSQL by its URL. The same table and the same questions in both."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ...pipeline.errors import ConfigError, MissingExtraError
from .row import COLUMNS, NAMES

if TYPE_CHECKING:
    import psycopg

VERSION = 1
"""Of the table. A ledger that a newer Glassway has written is not touched."""

_BUSY_S = 5.0


class Database(Protocol):
    """A ledger's table. Used by one thread at a time; every method opens what it needs and may be called again after a failure."""

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows in one transaction; a call that is there already is left as it is, so that a retry counts nothing twice."""
        ...

    def prune(self, before_us: int) -> int:
        """Delete calls that began before; returns how many."""
        ...

    def ask(self, question: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, whose values are written as `?`."""
        ...

    def day(self) -> str:
        """SQL for a call's day in UTC, as `2026-11-26`."""
        ...

    def tags(self) -> str:
        """SQL for a join with one row for each of a call's tags, named `tag.value`."""
        ...

    def close(self) -> None:
        """Close the connection. May be called more than once; the next use opens another."""
        ...


def database_of(place: str) -> Database:
    """`sqlite:FILE`, a path, or `postgresql://...`. Raises `ConfigError` for any other, and `MissingExtraError` without the driver."""
    kind = place.partition(":")[0]
    if kind in ("postgres", "postgresql"):
        return PostgresDatabase(place)
    path = place.removeprefix("sqlite:")
    if not path or "://" in path:
        raise ConfigError(
            f"Ledger.to: expected a file, 'sqlite:<file>' or 'postgresql://...', found a setting of kind {kind!r}."
        )
    return SqliteDatabase(Path(path))


class _DecimalSum:
    """Exact sums of decimals that are kept as text."""

    def __init__(self) -> None:
        self.total: Decimal | None = None

    def step(self, value: str | None) -> None:
        if value is not None:
            self.total = (self.total or Decimal(0)) + Decimal(value)

    def finalize(self) -> str | None:
        return None if self.total is None else format(self.total, "f")


class SqliteDatabase:
    """A file, made for its owner only. Several processes may write it (write-ahead log)."""

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()
        self._connection: sqlite3.Connection | None = None

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(NAMES))
        with (connection := self._open()):
            connection.executemany(f"INSERT OR IGNORE INTO calls VALUES ({marks})", rows)  # noqa: S608 - question marks

    def prune(self, before_us: int) -> int:
        with (connection := self._open()):
            return connection.execute("DELETE FROM calls WHERE started_us < ?", (before_us,)).rowcount

    def ask(self, question: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        if not self._path.exists():
            raise ConfigError(f"{self._path}: there is no ledger. Give the file that the Ledger stage writes.")
        with closing(self._open().execute(question, values)) as cursor:
            yield from cursor

    def day(self) -> str:
        return "date(started_us / 1000000, 'unixepoch')"

    def tags(self) -> str:
        return "JOIN json_each(calls.tags) AS tag"

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.create_aggregate("exact_sum", 1, _DecimalSum)  # type: ignore[arg-type]  # the stub knows aggregates of integers only
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        [version] = connection.execute("PRAGMA user_version").fetchone()
        _check_version(str(self._path), version)
        with connection:
            connection.execute(_table("sqlite"))
            for index in _INDEXES:
                connection.execute(index)
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def __repr__(self) -> str:
        return f"SqliteDatabase({str(self._path)!r})"


class PostgresDatabase:
    """The table `calls` in the schema that the URL's user writes to."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError("A ledger in PostgreSQL", "postgres") from error
        self._psycopg = psycopg
        self._url = url
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join(["%s"] * len(NAMES))
        with self._open() as connection, connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO calls VALUES ({marks}) ON CONFLICT (call_id) DO NOTHING", rows)  # noqa: S608 - placeholders

    def prune(self, before_us: int) -> int:
        with self._open() as connection:
            return int(connection.execute("DELETE FROM calls WHERE started_us < %s", (before_us,)).rowcount)

    def ask(self, question: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        translated: Any = question.replace("%", "%%").replace("?", "%s").replace("exact_sum(", "sum(")
        with self._open() as connection, connection.cursor(name="ledger") as cursor:
            cursor.execute(translated, values)
            yield from cursor

    def day(self) -> str:
        return "to_char(to_timestamp(started_us / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"

    def tags(self) -> str:
        return "CROSS JOIN LATERAL jsonb_array_elements_text(calls.tags::jsonb) AS tag(value)"

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Any:
        """A transaction on the connection, which is made anew where it is broken."""
        if self._connection is not None and self._connection.broken:
            self.close()
        if self._connection is None:
            connection = self._psycopg.connect(self._url, connect_timeout=int(_BUSY_S), autocommit=True)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return _Transaction(self._connection)

    def _prepare(self, connection: Any) -> None:
        with connection.transaction():
            # Two processes that start together would both make it: "IF NOT EXISTS" does not keep them apart.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('glassway ledger'))")
            connection.execute("CREATE TABLE IF NOT EXISTS ledger_version (version BIGINT)")
            found = connection.execute("SELECT version FROM ledger_version").fetchone()
            _check_version("the ledger", found[0] if found else 0)
            connection.execute(_table("postgres"))
            for index in _INDEXES:
                connection.execute(index)
            if not found:
                connection.execute("INSERT INTO ledger_version VALUES (%s)", (VERSION,))

    def __repr__(self) -> str:
        parts = urlsplit(self._url)
        return f"PostgresDatabase('{parts.scheme}://{parts.hostname or ''}{parts.path}')"


class _Transaction:
    """A transaction of a connection that stays open."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._transaction = connection.transaction()

    def __enter__(self) -> Any:
        self._transaction.__enter__()
        return self._connection

    def __exit__(self, *error: object) -> Any:
        return self._transaction.__exit__(*error)


_INDEXES = (
    "CREATE INDEX IF NOT EXISTS calls_by_time ON calls (started_us)",
    "CREATE INDEX IF NOT EXISTS calls_by_tenant ON calls (tenant, started_us)",
)


def _table(kind: str) -> str:
    columns = ", ".join(f"{column.name} {getattr(column, kind)}" for column in COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS calls ({columns})"


def _check_version(place: str, found: int) -> None:
    if found > VERSION:
        raise ConfigError(
            f"{place} was written by a newer Glassway (table version {found}, this one knows {VERSION}). Update Glassway, or use another ledger."
        )
