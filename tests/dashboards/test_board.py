"""The board as data and as Grafana's JSON."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from glassway.dashboards import build
from glassway.dashboards.board import Panel
from glassway.dashboards.overview import ROWS, UID, overview
from glassway.dashboards.promql import none_of, one_of, or_zero, quantile, rate, series
from glassway.dashboards.readme import BEGIN, END, with_panels
from glassway.pipeline.telemetry import names

FOLDER = Path(build.__file__).parent
BOARD: dict[str, Any] = json.loads(overview())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def test_the_same_board_is_the_same_text() -> None:
    assert overview() == overview()


def test_what_is_generated_is_up_to_date() -> None:
    assert build.main(["--check"]) == 0


def test_grafanas_own_model_reads_all_of_it() -> None:
    read = Dashboard.from_json(BOARD)
    assert json.loads(JSONEncoder().encode(read)) == BOARD


def test_the_uid_stays_so_that_links_stay_good() -> None:
    assert BOARD["uid"] == UID == "glassway-overview"


def test_ids_are_told_apart() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_is(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"].split()) >= 10
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_rows_fill_the_width(row: Any) -> None:
    assert sum(panel.width for panel in row.panels) % 24 == 0


def test_panels_do_not_lie_on_each_other() -> None:
    def fields(panel: dict[str, Any]) -> set[tuple[int, int]]:
        grid = panel["gridPos"]
        return {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }

    taken = {panel["id"]: fields(panel) for panel in BOARD["panels"]}
    assert [(one, other) for one, other in combinations(taken, 2) if taken[one] & taken[other]] == []
    assert all(x < 24 for each in taken.values() for x, _ in each)


def test_every_line_has_a_name_of_its_own() -> None:
    for panel in PANELS:
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]


def test_colours_are_given_to_lines_that_exist() -> None:
    """Fixed names must be a legend or a value of a closed label that the legend shows."""
    closed: dict[str, set[str]] = {}
    for label in (label for metric in names.METRICS.values() for label in metric.labels):
        closed.setdefault(label.name, set()).update(label.values or ())
    for row in ROWS:
        for panel in row.panels:
            legends = {query.legend for query in panel.queries}
            labels = {label for text in legends for label in re.findall(r"{{(\w+)}}", text)}
            shown = {value for label in labels for value in closed.get(label, ())}
            assert set(panel.colours) <= legends | shown, panel.title


@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_metric_is_spelled_in_code(source: Path) -> None:
    text = source.read_text("utf-8")
    assert [each.prometheus for each in names.METRICS.values() if each.prometheus in text or each.name in text] == []


def test_most_of_what_is_counted_is_shown() -> None:
    """A new metric of ours needs a panel. The conventions' own metrics are for other people's boards."""
    ours = {metric.prometheus for metric in names.METRICS.values() if metric.name.startswith("glassway.")}
    assert [
        name for name in sorted(ours) if not any(name in each["expr"] for p in PANELS for each in p["targets"])
    ] == []


def test_a_label_that_the_metric_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"glassway\.calls has no label 'stage'"):
        rate(names.CALLS, by=(names.L_STAGE,))
    with pytest.raises(ValueError, match="no label 'useful'"):
        rate(names.CALLS, one_of(names.L_USEFUL, "true"))


def test_a_value_that_the_label_never_has_is_refused() -> None:
    with pytest.raises(ValueError, match="'end' never has the value 'succeeded'"):
        one_of(names.L_END, "succeeded")


def test_a_quantile_of_a_counter_is_refused() -> None:
    with pytest.raises(ValueError, match="is a counter"):
        quantile(0.95, names.CALLS)
    with pytest.raises(ValueError, match="is a histogram"):
        rate(names.CALL_DURATION)


def test_matchers_are_as_prometheus_writes_them() -> None:
    assert str(one_of(names.L_END, "completed")) == 'end="completed"'
    assert str(one_of(names.L_END, "failed", "timeout")) == 'end=~"failed|timeout"'
    assert str(none_of(names.L_END, "completed")) == 'end!="completed"'
    assert str(none_of(names.L_END, "failed", "timeout")) == 'end!~"failed|timeout"'


def test_the_chosen_vendor_and_model_narrow_what_has_them() -> None:
    assert series(names.UNPRICED).endswith('{job=~"$job",provider=~"$provider",model=~"$model"}')
    assert series(names.UNPRICED, filtered=False).endswith('{job=~"$job"}')
    assert series(names.CACHE).endswith('{job=~"$job"}')


def test_a_zero_of_lines_is_called_none() -> None:
    assert '"verdict", "none", "", "")' in or_zero(rate(names.CACHE, by=(names.L_VERDICT,)), names.L_VERDICT)


def test_a_panel_without_help_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a title, a help"):
        Panel("Calls", "", "cps", ())


def test_a_readme_without_marks_is_refused() -> None:
    assert with_panels(f"a\n{BEGIN}\nold\n{END}\nb", ROWS).count("| At a glance |") == len(ROWS[0].panels)
    with pytest.raises(ValueError, match="expected the marks"):
        with_panels("no marks", ROWS)
