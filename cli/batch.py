"""`glassway batch`: many requests from a file, their results into another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .clients import client_of
from .show import console

if TYPE_CHECKING:
    from pathlib import Path

    from ..pipeline.batch import Batch, BatchProgress
    from ..pipeline.batch.run import Order


def batch(
    requests: Path,
    output: Path,
    *,
    config: Path | None,
    model: str | None,
    concurrency: int,
    order: Order,
    resume: bool,
    max_failures: int | None,
    quiet: bool,
) -> bool:
    """Run it and say what it came to, on standard error; whether every request was answered. Raises `ConfigError` before anything is sent."""
    with client_of(config) as client:
        work = client.batch(
            requests,
            output=output,
            resume=resume,
            model=model,
            concurrency=concurrency,
            order=order,
            max_failures=max_failures,
            progress=not quiet,
        )
        try:
            came_to = work.wait()
        except KeyboardInterrupt:
            _say(work, work.progress, output)
            raise
    _say(work, came_to, output)
    return came_to.succeeded == came_to.total


def _say(work: Batch, progress: BatchProgress, output: Path) -> None:
    screen = console(stderr=True)
    resumed = f", {progress.resumed} of them by an earlier run" if progress.resumed else ""
    screen.print(
        f"{progress.succeeded} of {progress.total} answered{resumed}; {progress.failed} failed; "
        f"{progress.cost_usd:f} USD{f' and {progress.unpriced} of unknown price' if progress.unpriced else ''}. {output}",
        style="green" if progress.succeeded == progress.total else "yellow",
        soft_wrap=True,
    )
    if work.stopped:
        sys.stderr.write("Stopped: too many failures (--max-failures). Look at the errors in the output first.\n")
    if progress.succeeded < progress.total:
        sys.stderr.write("The same command asks again what has no answer yet.\n")
