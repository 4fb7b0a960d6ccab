"""Every call is one row, in SQLite and in PostgreSQL alike, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import csv
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from builders import server_error
from hypothesis import given
from hypothesis import strategies as st
from realservers import PostgresServer

from glassway import CallOptions, Client, Pipeline
from glassway.middlewares import Cache, Cost, Guardrails, Ledger, Retry
from glassway.middlewares.ledger import Asked, calls, database_of, export, spending
from glassway.middlewares.ledger.database import SqliteDatabase
from glassway.middlewares.ledger.writer import Writer
from glassway.pipeline.errors import ConfigError, GlasswayError, PlanError
from glassway.testing import FakeProvider, Scripted

PRICES = {"fake/m": {"input": "1", "output": "2"}, "fake/n": {"input": "0.1234567", "output": "3"}}
FAILURE = Scripted(error=server_error(retryable=False))

Make = Callable[..., Client]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'ledger.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    yield server.url
    with psycopg.connect(server.url) as connection:
        connection.execute("DROP TABLE IF EXISTS calls, ledger_version")


@pytest.fixture
def client_of(place: str) -> Make:
    def make(*answers: Any, **settings: Any) -> Client:
        ledger = Ledger(place, every_s=0.01, **settings)
        stages = [ledger, Cost(overrides=PRICES), Guardrails([{"deny_list": {"words": ["forbidden"]}}]), Cache(), Retry(initial_s=0)]  # fmt: skip
        return Client(Pipeline(stages, FakeProvider(answers or [Scripted()], name="fake")))

    return make


def rows(place: str, asked: Asked = Asked()) -> list[dict[str, Any]]:  # noqa: B008 - frozen
    database = database_of(place)
    try:
        return [dict(row) for row in calls(database, asked)]
    finally:
        database.close()


def spent(place: str, *by: str, **asked: Any) -> dict[tuple[str, ...], Any]:
    database = database_of(place)
    try:
        return {line.group: line for line in spending(database, Asked(**asked), by)}
    finally:
        database.close()


def test_every_call_is_one_row_however_it_ends(client_of: Make, place: str) -> None:
    with client_of(Scripted(), FAILURE, Scripted(), Scripted()) as client:
        replies = [client.chat("m", "one", tenant="acme", tags=["a", "b"])]
        for prompt in ("two", "forbidden"):
            with pytest.raises(GlasswayError):
                client.chat("m", prompt)
        stream = client.chat("n", "three", stream=True)
        assert list(stream)
        replies += [stream.response(), client.chat("m", "one", tenant="acme")]
        half = client.chat("n", "four", stream=True)
        next(half)
        half.close()
    found = rows(place)
    assert [(row["ended"], row["error"], row["cache"]) for row in found] == [
        ("completed", None, "stored"),
        ("failed", "server_error", "miss"),
        ("failed", "guardrail_blocked", None),
        ("completed", None, "stored"),
        ("completed", None, "hit"),
        ("closed", None, "miss"),
    ]
    first = found[0]
    assert (first["call_id"], first["tenant"], first["tags"]) == (replies[0].record.call_id, "acme", '["a","b"]')
    assert (first["provider"], first["model"], first["stream"], first["attempts"]) == ("fake", "m", False, 1)
    assert abs(first["started_at"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert [row["cost_usd"] for row in found if row["ended"] == "completed"] == [reply.cost for reply in replies]
    assert '"facts"' in first["record"]
    assert "general reader" not in str(found)


def test_the_ledgers_sums_are_the_records_sums_to_the_last_digit(client_of: Make, place: str) -> None:
    with client_of() as client:
        costs = [client.chat("n", f"number {number}").cost for number in range(30)]
    [line] = spent(place, "model").values()
    assert line.cost_usd == sum(cost for cost in costs if cost is not None)
    assert (line.calls, line.unpriced, line.group) == (30, 0, ("n",))


@given(amounts=st.lists(st.decimals(min_value=0, max_value=100, places=12), min_size=1, max_size=20))
def test_sums_in_sqlite_are_exact(amounts: list[Decimal]) -> None:
    database = SqliteDatabase(Path(":memory:"))
    connection = sqlite3.connect(":memory:")
    database._prepare(connection)
    connection.execute("CREATE TABLE amounts (amount TEXT)")
    connection.executemany("INSERT INTO amounts VALUES (?)", [(format(amount, "f"),) for amount in amounts])
    [total] = connection.execute("SELECT exact_sum(amount) FROM amounts").fetchone()
    connection.close()
    assert Decimal(total) == sum(amounts)


def test_spending_is_grouped_by_what_calls_have_in_common(client_of: Make, place: str) -> None:
    with client_of(Scripted(), Scripted(), FAILURE) as client:
        client.chat("m", "one", tenant="acme", tags=["x", "y"])
        client.chat("unpriced", "two", tenant="other", tags=["y"])
        with pytest.raises(GlasswayError):
            client.chat("m", "three")
    assert {group: line.calls for group, line in spent(place, "model").items()} == {("m",): 2, ("unpriced",): 1}
    assert {group: line.calls for group, line in spent(place, "tag").items()} == {("x",): 1, ("y",): 2}
    assert {group: line.failures for group, line in spent(place, "tenant", "end").items()} == {
        ("acme", "completed"): 0,
        ("other", "completed"): 0,
        ("", "failed"): 1,
    }
    assert list(spent(place, "day")) == [(datetime.now(UTC).date().isoformat(),)]
    unknown = spent(place, "model")["unpriced",]
    assert (unknown.unpriced, unknown.cost_usd) == (1, None)
    assert spent(place)[()].calls == 3
    assert spent(place, "model", tenant="acme").keys() == {("m",)}


def test_calls_are_asked_for_by_time(client_of: Make, place: str) -> None:
    with client_of() as client:
        client.chat("m", "one")
    now = datetime.now(UTC)
    assert len(rows(place, Asked(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1)))) == 1
    assert rows(place, Asked(since=now + timedelta(minutes=1))) == []
    assert rows(place, Asked(until=now - timedelta(minutes=1))) == []


def test_a_call_that_is_written_twice_is_one_row(place: str) -> None:
    database = database_of(place)
    row = ("id", 1, *[None] * 29)
    database.insert([row])
    database.insert([row, ("other", 2, *[None] * 29)])
    assert [found["call_id"] for found in calls(database)] == ["id", "other"]
    database.close()


def test_old_calls_are_deleted(client_of: Make, place: str) -> None:
    database = database_of(place)
    day_us = 86_400 * 1_000_000
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    database.insert([("old", now_us - 3 * day_us, *[None] * 29), ("young", now_us - day_us, *[None] * 29)])
    with client_of(keep_days=2) as client:
        client.chat("m", "one")
    assert next(row["call_id"] for row in calls(database)) == "young"
    assert len(list(calls(database))) == 2
    database.close()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_ledger_can_be_exported(client_of: Make, place: str, tmp_path: Path, ending: str) -> None:
    with client_of() as client:
        cost = client.chat("n", "one").cost
        client.chat("unpriced", "two")
    path, told = tmp_path / f"calls.{ending}", []
    database = database_of(place)
    assert export(calls(database), path, told.append) == 2
    database.close()
    assert sum(told) == 2
    assert _read(path)[0]["cost_usd"] == cost
    assert [row["model"] for row in _read(path)] == ["n", "unpriced"]
    assert _read(path)[1]["cost_usd"] in (None, "")
    assert [each.name for each in tmp_path.glob("*.part")] == []


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return found
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            found = list(csv.DictReader(file))
    else:
        from pydantic_core import from_json

        found = [from_json(line) for line in path.read_bytes().splitlines()]
    return [{**row, "cost_usd": Decimal(row["cost_usd"]) if row["cost_usd"] else None} for row in found]


def test_several_processes_write_one_ledger(place: str) -> None:
    program = f"""
from glassway import Client, Pipeline
from glassway.middlewares import Ledger
from glassway.testing import FakeProvider, Scripted
with Client(Pipeline([Ledger({place!r}, every_s=0.01, batch=5)], FakeProvider([Scripted()]))) as client:
    for number in range(50):
        client.chat("fake-model", "Hi")
    assert client.health().stages["Ledger"]["dropped"] == 0
"""
    running = [subprocess.Popen([sys.executable, "-W", "error", "-c", program], stderr=subprocess.PIPE) for _ in range(4)]  # fmt: skip
    assert [process.communicate(timeout=60)[1] for process in running] == [b""] * 4
    assert len(rows(place)) == 200


@pytest.mark.slow
def test_a_postgres_that_dies_and_comes_back_loses_no_call(tmp_path: Path) -> None:
    with PostgresServer(tmp_path / "postgres") as server:
        stage = Ledger(server.url, every_s=0.02)
        with Client(Pipeline([stage], FakeProvider([Scripted()]))) as client:
            for number in range(30):
                client.chat("fake-model", "Hi")
                if number == 10:
                    server.kill()
                if number == 20:
                    server.restart()
        assert len(rows(server.url)) == 30


def test_a_database_that_stays_away_costs_calls_nothing_and_is_said(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "a file").touch()
    with Client(Pipeline([Ledger(str(tmp_path / "a file" / "ledger.db"), queue=3, batch=1, every_s=0.01)], FakeProvider([Scripted()]))) as client:  # fmt: skip
        client.pipeline.stages["Ledger"]._writer._limit = 3  # type: ignore[attr-defined]
        assert all(client.chat("fake-model", "Hi").text for _ in range(8))
        state = client.health().stages["Ledger"]
        assert (state["written"], state["waiting"], state["dropped"], state["condition"]) == (0, 3, 5, "degraded")
        client.pipeline.stages["Ledger"]._writer.close()  # type: ignore[attr-defined]
    assert "The ledger cannot be written" in caplog.text
    assert "queue is full" in caplog.text


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with Client(Pipeline([Ledger(str(tmp_path / "new" / "ledger.db"))], FakeProvider([Scripted()]))) as client:
        client.chat("fake-model", "Hi")
    assert stat.S_IMODE((tmp_path / "new" / "ledger.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_ledger_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="newer Glassway"):
        list(calls(database_of(str(path))))


def test_a_ledger_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no ledger"):
        spending(database_of(str(tmp_path / "none.db")))
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_no_call(tmp_path: Path) -> None:
    place = str(tmp_path / "ledger.db")
    with Client(Pipeline([Ledger(place)], FakeProvider([Scripted()]))) as client:
        client.explain("fake-model", [{"role": "user", "content": "Hi"}])
        client.chat("fake-model", "Hi")
    assert len(rows(place)) == 1


def test_a_password_is_shown_nowhere() -> None:
    stage = Ledger("postgresql://user:hunter2@db.example/glassway")
    shown = f"{stage!r} {stage._writer.database!r} {Pipeline([stage], FakeProvider()).explain()}"
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "settings",
    [{"keep_days": 0}, {"queue": 0}, {"batch": 0}, {"batch": 20_000}, {"every_s": 0}, {"to": ""}, {"to": "mysql://x"}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Ledger"):
        Ledger(**settings)


@pytest.mark.parametrize("inner", [Cache, Retry, lambda: Guardrails(["secrets"])])
def test_it_stands_outside_what_would_hide_calls_from_it(inner: Any) -> None:
    with pytest.raises(PlanError, match="Move Ledger before"):
        Pipeline([inner(), Ledger()], FakeProvider())


def test_a_forked_child_writes_its_own_calls_only(tmp_path: Path) -> None:
    writer = Writer(SqliteDatabase(tmp_path / "ledger.db"), queue=10, batch=5, every_s=60, keep_days=None)
    writer._waiting.append(_record())
    child = os.fork()
    if not child:
        os._exit(0 if writer.counts.waiting == 0 and writer._thread is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert writer.counts.waiting == 1


def _record() -> Any:
    client = Client(Pipeline([], FakeProvider([Scripted()])))
    return client.chat("fake-model", "Hi").record


@pytest.mark.anyio
async def test_what_waits_is_written_when_it_is_asked_for(tmp_path: Path) -> None:
    place = str(tmp_path / "ledger.db")
    stage = Ledger(place, every_s=60)
    async with Client(Pipeline([stage], FakeProvider([Scripted()]))) as client:
        await asyncio.gather(*(client.achat("fake-model", "Hi", options=CallOptions(tenant="t")) for _ in range(20)))
        assert await stage.flush()
        assert len(rows(place)) == 20
