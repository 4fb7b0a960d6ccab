"""The waterfall as a person sees it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from glassway.cli.waterfall import waterfall


def _drawn(record, width, *, ascii_only=False):
    return "\n".join(line.plain for line in waterfall(record, width=width, ascii_only=ascii_only))


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("width", [80, 120])
def test_waterfall_of_a_call_that_fell_back(fallen_back, snapshot, width, stream):
    assert _drawn(fallen_back(stream), width) == snapshot


def test_waterfall_in_ascii(fallen_back, snapshot):
    drawn = _drawn(fallen_back(True), 80, ascii_only=True)
    assert drawn.isascii()
    assert drawn == snapshot


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("stream", [False, True])
def test_no_line_is_wider_than_the_terminal(fallen_back, width, stream):
    lines = waterfall(fallen_back(stream), width=width)
    assert max(len(line.plain) for line in lines[:-2]) <= width


def test_state_is_told_without_colour(fallen_back):
    drawn = _drawn(fallen_back(False), 80)
    assert all(word in drawn for word in ("overloaded", "rate_limited", "wait", "->", "ok"))


def test_colour_tells_failure_apart(fallen_back):
    screen = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    for line in waterfall(fallen_back(False), width=80):
        screen.print(line)
    [failed] = [line for line in screen.file.getvalue().splitlines() if "#1" in line]
    assert "\x1b[31m" in failed


def test_what_is_too_short_for_a_cell_is_a_tick_where_it_began(recorded):
    record = recorded(stages=[])
    record.trace.end_ns += 10_000_000_000
    record.duration_s += 10.0
    [_, _call, attempt, *_] = waterfall(record, width=80)
    assert attempt.plain.count("▏") == 1


def test_a_record_without_times_draws_nothing(recorded):
    record = recorded()
    record.trace = None
    assert waterfall(record, width=80) == []
