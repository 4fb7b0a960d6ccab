"""Time limits."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from dataclasses import dataclass, field, fields
from typing import ClassVar

from ..pipeline.call import Call, Limits
from ..pipeline.errors import ConfigError
from ..pipeline.plan import Rule
from ..pipeline.stream import Handler, Reply


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits the time of everything inside it; seconds, None means no limit of this kind.

    Outside `Retry`, `total_s` bounds all tries together; inside, each of them. The other limits are of one request to a
    vendor wherever this stands. A limit only ever tightens the call's own. What is over raises `APITimeoutError`.
    """

    rule: ClassVar[Rule] = Rule()

    total_s: float | None = None
    first_chunk_s: float | None = None
    """From sending to the first chunk of a stream, or to the whole of a unary answer."""
    between_chunks_s: float | None = None
    connect_s: float | None = None
    _limits: Limits = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        if all(value is None for value in values.values()):
            raise ConfigError(f"Timeout: expected at least one of {', '.join(values)}, found none.")
        for name, value in values.items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"Timeout.{name}: expected seconds above 0, found {value}.")
        object.__setattr__(self, "_limits", Limits(self.connect_s, self.first_chunk_s, self.between_chunks_s))

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """The reply, if it keeps the limits."""
        view = call.with_limits(self._limits)
        return call_next(view if self.total_s is None else view.within(self.total_s))
