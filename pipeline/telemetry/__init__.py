"""Where spans and metrics go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ..call import CallOptions
    from ..clock import Clock
    from ..outcome import Outcome
    from ..record import Record
    from ..types import Request

from ..trace import Trace


class Telemetry:
    """Placeholder."""

    @classmethod
    def default(cls) -> Self:
        return cls()

    def begin(self, request: Request, options: CallOptions, clock: Clock) -> Trace | None:
        return Trace(clock)

    def attach(self, trace: Trace) -> Any:
        return None

    def detach(self, token: Any) -> None: ...

    def around(self, trace: Trace) -> Callable[[Awaitable[Any]], Awaitable[Any]]:
        async def read(step: Awaitable[Any]) -> Any:
            return await step

        return read

    def finish(self, record: Record, outcome: Outcome) -> None: ...

    def flush(self) -> None: ...
