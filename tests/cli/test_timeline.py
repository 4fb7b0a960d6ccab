"""Rows of a record: what ran, where it waited, what it tried."""

from __future__ import annotations

import pytest

from glassway.cli.timeline import milliseconds, rows_of
from glassway.middlewares import Retry
from glassway.pipeline.errors import BadRequestError, GuardrailViolation
from glassway.testing import Scripted


def test_every_attempt_is_a_row_with_its_target(fallen_back):
    rows = rows_of(fallen_back(False))
    assert [(row.label, row.note) for row in rows if row.label.startswith("#")] == [
        ("#1 overloaded", "main/gpt"),
        ("#2 rate_limited", "main/gpt"),
        ("#3 ok", "backup/claude"),
    ]


def test_a_pause_stands_between_the_tries_that_it_separates(fallen_back):
    labels = [row.label for row in rows_of(fallen_back(False))]
    assert labels.index("#1 overloaded") < labels.index("wait 100.0 ms") < labels.index("#2 rate_limited")


def test_a_pause_lasts_as_long_as_it_says(fallen_back):
    [pause] = [row for row in rows_of(fallen_back(False)) if row.state == "waiting"]
    [piece] = pause.pieces
    assert piece.end_s - piece.start_s == pytest.approx(0.1, abs=0.001)


def test_the_move_to_another_target_says_what_failed(fallen_back):
    [move] = [row for row in rows_of(fallen_back(False)) if row.state == "moved"]
    assert (move.label, move.note) == ("-> backup/claude", "after rate_limited")


@pytest.mark.parametrize("stream", [False, True])
def test_self_times_and_the_consumer_make_the_duration(fallen_back, stream):
    record = fallen_back(stream)
    own_s = sum(row.self_s for row in rows_of(record) if row.self_s is not None)
    assert own_s + record.consumer_s == pytest.approx(record.duration_s, abs=1e-9)


def test_pieces_of_a_row_follow_each_other_without_gap_or_overlap(fallen_back):
    for row in rows_of(fallen_back(True)):
        for before, after in zip(row.pieces, row.pieces[1:], strict=False):
            assert after.start_s == pytest.approx(before.end_s)


def test_a_stage_that_handed_a_stream_on_lasts_until_its_end(fallen_back):
    record = fallen_back(True)
    call = rows_of(record)[0]
    assert (call.pieces[-1].doing, call.total_s) == ("stream", pytest.approx(record.duration_s))


def test_a_failed_try_has_no_stream(fallen_back):
    failed = [row for row in rows_of(fallen_back(True)) if row.state == "failed"]
    assert failed
    assert not any(piece.doing == "stream" for row in failed for piece in row.pieces)


def test_the_stage_that_answers_itself_says_so(recorded):
    async def short_cut(call, call_next):
        return Scripted().response()

    assert rows_of(recorded(stages=[Retry(), short_cut]))[-1].note == "answered here"


def test_the_stage_that_refuses_says_so_and_its_outer_stages_do_not(recorded):
    async def refuse(call, call_next):
        raise GuardrailViolation("no")

    rows = rows_of(recorded(stages=[Retry(), refuse]))
    assert [row.note for row in rows] == ["", "", "refused: guardrail_blocked"]


def test_an_error_that_is_not_retried_makes_one_attempt(recorded):
    rows = rows_of(recorded(Scripted(error=BadRequestError("no", status_code=400))))
    assert [row.label for row in rows if row.label.startswith("#")] == ["#1 invalid_request"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.000 ms"), (0.0000123, "0.012 ms"), (0.0123, "12.30 ms"), (0.12345, "123.5 ms"), (1.5, "1500 ms"), (61, "61.0 s")],
)  # fmt: skip
def test_times_fit_their_column_and_compare_at_a_glance(seconds, text):
    assert milliseconds(seconds) == text
    assert len(text) <= 9
