"""A record in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from glassway.cli.report import dollars, lines_of
from glassway.middlewares import Cost
from glassway.testing import Scripted


def _said(record):
    return "\n".join(f"{name} {text}" for name, text in lines_of(record))


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "unknown"), (Decimal(0), "$0"), (Decimal("0.000100"), "$0.0001"), (Decimal("12E2"), "$1200"), (Decimal("1E-9"), "$0.000000001")],
)  # fmt: skip
def test_amounts_are_exact_and_unknown_is_not_zero(amount, text):
    assert dollars(amount) == text


def test_every_attempt_says_whom_why_and_how(fallen_back):
    said = _said(fallen_back(False))
    assert "#1 first: main/gpt overloaded in 30.00 ms" in said
    assert "#2 retry: main/gpt rate_limited in 20.00 ms" in said
    assert "#3 fallback: backup/claude answered in 200.0 ms" in said


def test_a_bill_shows_its_lines_and_whose_prices_they_are(recorded):
    record = recorded(stages=[Cost(overrides={"main/gpt": {"input": 1, "output": 2}})])
    said = _said(record)
    assert "cost $0.00002 exact, prices: override, tokens counted by: provider" in said
    assert "input: 10 tokens at $1/M = $0.00001, attempt #1" in said


def test_what_has_no_price_is_unknown_and_named(recorded):
    record = recorded(stages=[Cost()])
    assert "cost unknown unpriced, no price for main/gpt" in _said(record)


def test_an_end_says_whose_move_it_is(recorded):
    from glassway.pipeline.errors import BadRequestError

    said = _said(recorded(Scripted(error=BadRequestError("no", status_code=400))))
    assert "ended failed: invalid_request (caller's move)" in said


def test_long_lists_are_cut_and_say_so(recorded):
    record = recorded()
    record.facts["attempts"].extend(record.attempts * 20)
    assert "... and 9 more" in _said(record)
