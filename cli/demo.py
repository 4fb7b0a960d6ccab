"""`glassway demo`: the tour, against the embedded vendor behind a real socket."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ..pipeline.errors import ConfigError
from ..pipeline.telemetry import Telemetry
from ..providers import HTTPProvider
from .scenarios import SCENARIOS, Scenario, ScenarioResult, run_scenario
from .show import console, show_lines, show_result, show_totals
from .stack import Bills, demo_pipeline
from .totals import Totals, totals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from ..pipeline.pipeline import Pipeline
    from ..providers.simulated import SeenRequest

    Shown = Callable[[ScenarioResult, int], object]


def demo(*, fast: bool, seed: int, as_json: bool, only: Sequence[str]) -> Totals:
    """Run and show the tour; returns what it came to. Raises `ConfigError` for a scenario that there is not."""
    chosen = chosen_scenarios(only)
    screen = console()
    results: list[ScenarioResult] = []

    def show(result: ScenarioResult, number: int) -> None:
        results.append(result)
        _print_json(result) if as_json else show_result(screen, result, number)

    if not as_json:
        screen.print(
            "The embedded vendor answers over HTTP on this machine. Nothing leaves it, no key is needed.\n", style="dim"
        )
    totals = run_tour(chosen, fast=fast, seed=seed, show=show, waiting=not as_json)
    if not as_json and len(chosen) > 1:
        show_totals(screen, totals, results)
    return totals


def list_scenarios() -> None:
    """The names that `--call` takes."""
    show_lines(console(), [(scenario.name, scenario.title) for scenario in SCENARIOS])


def chosen_scenarios(only: Sequence[str]) -> tuple[Scenario, ...]:
    """Those named, in the order of the tour; all, if none is."""
    names = [scenario.name for scenario in SCENARIOS]
    if unknown := [name for name in only if name not in names]:
        raise ConfigError(f"--call {unknown[0]}: expected one of {', '.join(names)}.")
    return tuple(scenario for scenario in SCENARIOS if not only or scenario.name in only)


def run_tour(scenarios: Sequence[Scenario], *, fast: bool, seed: int, show: Shown, waiting: bool) -> Totals:
    """Serve the vendor, send the calls through the whole stack, add up what they came to."""
    from ..providers.simulated import SimulatedServer, SimulatedVendor, Timing

    vendor = SimulatedVendor(seed=seed, timing=Timing(scale=0.0 if fast else 1.0))
    registry, ledger = CollectorRegistry(), Bills()
    results: list[ScenarioResult] = []

    async def tour(server: SimulatedServer) -> None:
        pipeline = demo_pipeline(
            server.openai_base_url,
            server.base_url,
            telemetry=Telemetry(registry=registry),
            ledger=ledger,
            seed=seed,
            waits=not fast,
        )
        async with pipeline:
            await _connect(pipeline)
            for number, scenario in enumerate(scenarios, 1):
                vendor.requests.clear()
                with _waiting(scenario, number, len(scenarios), shown=waiting):
                    result = await run_scenario(pipeline, scenario, run=f"demo-{seed}", pause_s=0 if fast else 1)
                results.append(replace(result, received=tuple(_last_text(seen) for seen in vendor.requests)))
                show(results[-1], number)

    with SimulatedServer(vendor).run_in_thread() as server:
        asyncio.run(tour(server))
    records = [told.record for result in results for told in result.calls]
    return totals_of(records, registry, ledger.total_usd)


def _last_text(seen: SeenRequest) -> str:
    """What the last message of a request says, in either vendor's protocol."""
    messages = (seen.json or {}).get("messages")
    content = messages[-1].get("content") if isinstance(messages, list) and messages else None
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content)
    return str(content or "")


async def _connect(pipeline: Pipeline) -> None:
    """Open the connections, so that the first call's waterfall shows the call."""
    for provider in pipeline.providers.values():
        if isinstance(provider, HTTPProvider):
            await provider.available()


@contextmanager
def _waiting(scenario: Scenario, number: int, total: int, *, shown: bool) -> Iterator[None]:
    """A sign of life on standard error, where a person is watching."""
    screen: Console = console(stderr=True)
    if shown and screen.is_terminal and not screen.is_dumb_terminal:
        with screen.status(f"{number} of {total}: {scenario.title} ..."):
            yield
    else:
        yield


def _print_json(result: ScenarioResult) -> None:
    for told in result.calls:
        line = {"scenario": result.scenario.name, **told.record.to_dict()}
        console().print(json.dumps(line), soft_wrap=True)
