"""Every expression of the board, asked of a real Prometheus that scrapes a real load."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from glassway.dashboards.overview import ROWS, overview
from glassway.dashboards.promql import ZERO

pytestmark = [pytest.mark.slow, pytest.mark.over_http]

Eventually = Callable[[Callable[[], bool], Callable[[], object]], None]

VARIABLES = {"$__rate_interval": "20s", "$job": ".*", "$provider": ".*", "$model": ".*"}

TARGETS = [
    pytest.param(target["expr"], target["exemplar"], id=f"{panel['title']}-{target['refId']}")
    for panel in json.loads(overview())["panels"]
    for target in panel.get("targets", ())
]


def filled_in(expr: str) -> str:
    """As Grafana sends it with "All" chosen everywhere."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr


def says_something(values: list[float]) -> bool:
    return any(not math.isnan(value) for value in values)


@pytest.mark.parametrize(("expr", "exemplars"), TARGETS)
def test_the_expression_has_data(expr: str, exemplars: bool, prometheus: Any, eventually: Eventually) -> None:
    """Without its zero, if it has one: the metric itself must say something."""
    expr = filled_in(expr.replace(ZERO, "absent(vector(1))"))
    eventually(lambda: says_something(prometheus.values(expr)), lambda: expr)


@pytest.mark.parametrize(("expr", "exemplars"), TARGETS)
def test_the_expression_is_well_formed(expr: str, exemplars: bool, prometheus: Any) -> None:
    assert prometheus.get("format_query", query=filled_in(expr))


@pytest.mark.parametrize("expr", [target.values[0] for target in TARGETS if target.values[1]])
def test_exemplars_lead_to_traces_that_were_kept(expr: str, prometheus: Any, load: Any, eventually: Eventually) -> None:
    def found() -> set[str]:
        answer = prometheus.get("query_exemplars", query=filled_in(expr), start=0, end=4e9)
        return {each["labels"]["trace_id"] for series in answer for each in series["exemplars"]}

    eventually(lambda: bool(found()), lambda: expr)
    # An exemplar is there when its call has ended, its trace a moment later.
    eventually(lambda: found() <= load.kept.trace_ids, lambda: found() - load.kept.trace_ids)


def test_nothing_is_shown_of_a_gateway_that_is_gone(prometheus: Any, eventually: Eventually) -> None:
    """Zeros hang on a process that is scraped: of a job that does not exist, no panel shows any."""
    eventually(lambda: says_something(prometheus.values(filled_in(ZERO))), lambda: ZERO)
    shown = [
        param.values[0]
        for param in TARGETS
        if prometheus.values(filled_in(str(param.values[0]).replace("$job", "nobody")))
    ]
    assert shown == []


def test_all_time_is_attributed(prometheus: Any, eventually: Eventually) -> None:
    panel = next(panel for row in ROWS for panel in row.panels if panel.title == "Attributed time")
    expr = filled_in(panel.queries[0].expr)
    eventually(lambda: says_something(prometheus.values(expr)), lambda: expr)
    assert prometheus.values(expr)[0] == pytest.approx(1.0, abs=0.02)


def test_the_variables_have_values(prometheus: Any, eventually: Eventually) -> None:
    for variable in json.loads(overview())["templating"]["list"][1:]:
        calls, label = variable["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        matched = filled_in(calls)
        eventually(
            lambda m=matched, name=label: bool(prometheus.get(f"label/{name}/values", **{"match[]": m})),
            lambda name=label: name,
        )


def test_the_exposition_has_no_faults(metrics_url: str, load: Any, promtool: str, eventually: Eventually) -> None:
    eventually(lambda: load.rounds > 0, lambda: load.failure)
    text = httpx.get(metrics_url, timeout=5.0).content
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=20)
    assert (checked.stderr.decode(), checked.returncode) == ("", 0)


def test_the_board_that_is_shipped_is_the_one_that_was_checked() -> None:
    shipped = Path(__file__).parents[2] / "dashboards" / "overview.json"
    assert shipped.read_text("utf-8") == overview()
