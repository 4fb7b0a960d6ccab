"""`glassway costs`: sums of the ledger as a shell sees them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from glassway import Client, Pipeline
from glassway.cli.costs import moment
from glassway.middlewares import Cost, Ledger
from glassway.pipeline.errors import ConfigError
from glassway.testing import FakeProvider, Scripted


@pytest.fixture
def ledger(tmp_path):
    """A ledger of three calls, one of which has no price."""
    place = tmp_path / "ledger.db"
    stages = [Ledger(str(place)), Cost(overrides={"fake/m": {"input": "1", "output": "2"}})]
    with Client(Pipeline(stages, FakeProvider([Scripted()], name="fake"))) as client:
        costs = [client.chat("m", "Hi", tenant=tenant).cost for tenant in ("acme", "globex")]
        client.chat("of-no-price", "Hi")
    return place, sum(costs)


def test_a_table_of_what_was_spent(shell, ledger):
    place, total = ledger
    code, out, _ = shell("costs", "--ledger", str(place), "--by", "model", "--since", "1h")
    assert code == 0
    head, model, unpriced, whole, note, _ = (line.split() for line in out.splitlines())
    assert head == ["model", "calls", "failed", "in", "out", "cost", "average"]
    assert model[:6] == ["m", "2", "0", "20", "10", f"${total.normalize()}"]
    assert unpriced[:6] == ["of-no-price", "1", "0", "10", "5", "unknown"]
    assert whole[:8] == ["all", "3", "0", "30", "15", f"${total.normalize()}", "+", "?"]
    assert note[:3] == ["?", "1", "calls"]


def test_the_same_as_json(shell, ledger):
    place, total = ledger
    found = json.loads(shell("costs", "--ledger", str(place), "--by", "tenant", "--json")[1])
    assert {group["tenant"]: group["calls"] for group in found["groups"]} == {"acme": 1, "globex": 1, "": 1}
    assert Decimal(found["all"]["cost_usd"]) == total


def test_the_calls_as_a_file(shell, ledger, tmp_path):
    place, _ = ledger
    path = tmp_path / "calls.csv"
    code, out, _ = shell("costs", "--ledger", str(place), "--tenant", "acme", "--export", str(path))
    assert (code, out.split()[0]) == (0, "1")
    assert len(path.read_text().splitlines()) == 2


def test_nothing_is_nothing(shell, ledger):
    assert shell("costs", "--ledger", str(ledger[0]), "--until", "2020-01-01")[1] == "No calls.\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--ledger", "none.db"], "none.db: there is no ledger"),
        (["--since", "yesterday"], "--since: expected 7d, 12h, 30m or a day like 2026-11-01, found 'yesterday'"),
        (["--by", "colour"], "by: unknown colour. Known are model"),
        (["--export", "calls.xls"], "expected a name that ends in .csv, .jsonl, .parquet"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(shell, ledger, options, says):
    code, _, err = shell("costs", "--ledger", str(ledger[0]), *options)
    assert code == 2
    assert says in " ".join(err.split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7d", datetime(2026, 11, 19, 12, tzinfo=UTC)),
        ("30m", datetime(2026, 11, 26, 11, 30, tzinfo=UTC)),
        ("2w", datetime(2026, 11, 12, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times(text, found):
    assert moment("--since", text, datetime(2026, 11, 26, 12, tzinfo=UTC)) == found


def test_a_time_that_is_none():
    with pytest.raises(ConfigError):
        moment("--since", "7 days")
