"""The board in Grafana's terms. Nothing else knows Grafana."""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from glassway.pipeline.telemetry import names

from .board import GOOD, Look, Panel, Query, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AnyPanel = stat.Panel | timeseries.Panel | heatmap.Panel
PanelT = TypeVar("PanelT", stat.Panel, timeseries.Panel, heatmap.Panel)

_COLUMNS = 24
_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_FORMATS: dict[Look, PromQueryFormat] = {"heatmap": PromQueryFormat.HEATMAP}


def render(title: str, uid: str, description: str, rows: tuple[Row, ...]) -> str:
    """The board as JSON that Grafana imports; the same text for the same board."""
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["glassway", "llm"])
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
    )
    for variable in _variables():
        board.with_variable(variable)
    top = 0
    for number, row in enumerate(rows, start=1):
        top = _add(board, row, first_id=number * 100, top=top)
    return json.dumps(json.loads(JSONEncoder().encode(board.build())), indent=2, sort_keys=True) + "\n"


def _variables() -> Iterator[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    yield dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    chosen: list[str] = []
    for name in ("job", names.L_PROVIDER.name, names.L_MODEL.name):
        yield _values(name, chosen)
        chosen.append(name)


def _values(name: str, chosen: list[str]) -> dashboard.QueryVariable:
    """The values of a label among calls that the variables before it let through."""
    matchers = ",".join(f'{other}=~"${other}"' for other in chosen)
    calls = names.CALLS.prometheus + (f"{{{matchers}}}" if matchers else "")
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(_SOURCE)
        .query(f"label_values({calls}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _add(board: dashboard.Dashboard, row: Row, *, first_id: int, top: int) -> int:
    """Put a row on the board, `top` lines from its upper edge; returns where the next one begins."""
    place = model.GridPos(h=1, w=_COLUMNS, x=0, y=top)
    board.with_row(dashboard.Row(row.title).id(first_id).grid_pos(place))
    left, top = 0, top + 1
    for number, panel in enumerate(row.panels, start=1):
        if left + panel.width > _COLUMNS:
            left, top = 0, top + row.height
        drawn = _MAKERS[panel.look](panel)
        board.with_panel(drawn.id(first_id + number).grid_pos(model.GridPos(row.height, panel.width, left, top)))
        left += panel.width
    return top + row.height


def _common(drawn: PanelT, panel: Panel) -> PanelT:
    drawn.title(panel.title).description(panel.help).unit(panel.unit).datasource(_SOURCE)
    drawn.thresholds(_thresholds(panel))
    for ref, query in zip(ascii_uppercase, panel.queries, strict=False):
        drawn.with_target(_query(query, ref, panel.look))
    for name, colour in panel.colours.items():
        drawn.override_by_name(name, [model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])
    return drawn


def _query(query: Query, ref: str, look: Look) -> prometheus.Dataquery:
    built = prometheus.Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).datasource(_SOURCE)
    return built.range().exemplar(query.exemplars).format(_FORMATS.get(look, PromQueryFormat.TIME_SERIES))


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    first = model.Threshold(value=None, color=GOOD if panel.limits else "text")
    steps = [first, *(model.Threshold(value, colour) for value, colour in panel.limits)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _number(panel: Panel) -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    drawn = stat.Panel().reduce_options(last).graph_mode(common_model.BigValueGraphMode.AREA).no_value("no calls")
    mode = common_model.BigValueColorMode.BACKGROUND if panel.limits else common_model.BigValueColorMode.VALUE
    return _common(drawn.color_mode(mode), panel)


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = timeseries.Panel().min(0).line_width(1).fill_opacity(8).show_points(common_model.VisibilityMode.NEVER)
    drawn.tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI).sort(_DESCENDING))
    drawn.legend(_legend())
    if panel.highest is not None:
        drawn.max(panel.highest)
    if panel.limits:
        drawn.thresholds_style(common.GraphThresholdsStyleConfig().mode(_DASHED))
    return _common(drawn, panel)


def _stack(panel: Panel) -> timeseries.Panel:
    return _lines(panel).stacking(_stacked()).fill_opacity(40)


def _bars(panel: Panel) -> timeseries.Panel:
    bars = _lines(panel).draw_style(common_model.GraphDrawStyle.BARS)
    return bars.stacking(_stacked()).fill_opacity(70)


def _heatmap(panel: Panel) -> heatmap.Panel:
    colours = heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Spectral").steps(64)
    drawn = heatmap.Panel().calculate(False).color(colours.reverse(True)).show_legend().show_tooltip()
    drawn.y_axis(heatmap.YAxisConfig().unit(panel.unit))
    return _common(drawn.filter_values(heatmap.FilterValueRange().le(1e-9)), panel)


def _legend() -> common.VizLegendOptions:
    table = common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.TABLE).show_legend(True)
    return table.placement(common_model.LegendPlacement.BOTTOM).calcs(["mean", "lastNotNull"])


def _stacked() -> common.StackingConfig:
    return common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A")


_DESCENDING = common_model.SortOrder.DESCENDING
_DASHED = common_model.GraphTresholdsStyleMode.DASHED
_MAKERS: dict[Look, Callable[[Panel], AnyPanel]] = {
    "number": _number,
    "lines": _lines,
    "stack": _stack,
    "bars": _bars,
    "heatmap": _heatmap,
}
