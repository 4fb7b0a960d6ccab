"""How far a batch is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from .lines import BatchResult

_EVERY_S = 5.0
"""How often a line is written where there is no terminal."""


class BatchProgress(NamedTuple):
    """A batch in numbers."""

    total: int
    succeeded: int = 0
    """Those that an earlier run has answered included."""
    failed: int = 0
    resumed: int = 0
    """Answered by an earlier run, and not asked again."""
    cost_usd: Decimal = Decimal(0)
    """Of this run, as far as it is known."""
    unpriced: int = 0
    """Requests whose cost is not known, in whole or in part."""
    in_flight: int = 0
    paused_s: float = 0.0
    """Seconds until the batch goes on: a vendor or a limit asked for it."""

    @property
    def done(self) -> int:
        """Requests that are through."""
        return self.succeeded + self.failed

    def after(self, result: BatchResult) -> Self:
        """One more."""
        return self._replace(
            succeeded=self.succeeded + result.ok,
            failed=self.failed + (not result.ok),
            cost_usd=self.cost_usd + (result.cost_usd or 0),
            unpriced=self.unpriced + (result.cost_usd is None),
        )

    def __str__(self) -> str:
        said = [f"{self.done} of {self.total}", f"{self.failed} failed" if self.failed else "", self._money()]
        paused = f"waits {self.paused_s:.0f} s for a limit" if self.paused_s >= 1 else ""
        return ", ".join(part for part in (*said, paused) if part)

    def _money(self) -> str:
        more = f" and {self.unpriced} of unknown price" if self.unpriced else ""
        return f"${self.cost_usd:.4f}{more}"


OnProgress = Callable[[BatchProgress], None]


class Shown(Protocol):
    """Something on the screen that follows a batch."""

    def __enter__(self) -> OnProgress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def bar(total: int) -> Shown:
    """A bar on a terminal (where `rich` is installed), and a line every few seconds elsewhere; on standard error."""
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return _Lines()
    console = Console(stderr=True)
    return _Bar(console, total) if console.is_terminal else _Lines()


class _Lines:
    def __enter__(self) -> OnProgress:
        self._next_s = time.monotonic() + _EVERY_S
        return self._show

    def _show(self, progress: BatchProgress) -> None:
        if time.monotonic() >= self._next_s or (progress.total and progress.done == progress.total):
            self._next_s = time.monotonic() + _EVERY_S
            sys.stderr.write(f"{progress}\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left on the screen that could be in the way."""


class _Bar:
    def __init__(self, console: Any, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console)
        self._task = self._progress.add_task(f"0 of {total}", total=total)

    def __enter__(self) -> OnProgress:
        self._progress.__enter__()
        return self._show

    def _show(self, progress: BatchProgress) -> None:
        self._progress.update(self._task, completed=progress.done, description=str(progress))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
