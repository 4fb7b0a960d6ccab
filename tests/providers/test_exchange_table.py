"""The table of all recorded exchanges: nothing is unlisted, nothing is judged by nobody, and nearly everything is right."""

from __future__ import annotations

import pytest
from exchange_table import JUDGES, LEAST_RIGHT, OUT_OF_SCOPE, Results, reason_of
from recordings import names


def test_every_exchange_is_judged_or_out_of_scope_for_a_reason(exchange_results: Results) -> None:
    seen = exchange_results.judged | exchange_results.failed.keys()
    assert [name for name in names() if name not in seen and reason_of(name) is None] == []


def test_nothing_that_is_judged_is_called_out_of_scope(exchange_results: Results) -> None:
    assert [name for name in sorted(exchange_results.collected) if reason_of(name) is not None] == []


@pytest.mark.usefixtures("exchange_results")
def test_every_reason_is_about_something() -> None:
    reasons = {reason_of(name) for name in names()}
    assert [pattern for pattern, reason in OUT_OF_SCOPE.items() if reason not in reasons] == []


def test_nearly_everything_is_right(exchange_results: Results) -> None:
    judged = exchange_results.judged | exchange_results.failed.keys()
    assert len(judged) >= 0.9 * len(names())
    assert len(exchange_results.right) / len(judged) >= LEAST_RIGHT, dict(exchange_results.failed)


def test_every_judge_exists(request: pytest.FixtureRequest, exchange_results: Results) -> None:
    ran = {getattr(item, "originalname", item.name) for item in request.session.items}
    assert JUDGES.keys() - ran == set()


def test_a_failure_makes_its_exchange_wrong() -> None:
    results = Results(judged={"openai/chat-text-1", "openai/chat-text-2"})
    results.failed["openai/chat-text-2"].append("some test")
    assert results.right == {"openai/chat-text-1"}
