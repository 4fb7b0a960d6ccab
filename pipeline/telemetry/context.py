"""The call's span as the current one: for the code of stages, never for the caller's."""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import Token
from typing import Any, TypeVar

from opentelemetry import context as api
from opentelemetry import trace

T = TypeVar("T")


class CurrentSpan:
    """Attaches one prepared context around single awaited steps: what is attached across a `yield` leaks to the consumer."""

    _context: api.Context | None = None

    def prepare(self, span: trace.Span) -> None:
        """Say which span it is."""
        self._context = trace.set_span_in_context(span)

    def attach(self) -> object:
        """Make the span current; returns a token."""
        return api.attach(self._context) if self._context is not None else None

    def detach(self, token: object) -> None:
        """Undo `attach`.

        A coroutine that is closed by a finaliser runs this in whatever context the finaliser runs in. There is nothing to
        undo there, and OpenTelemetry's own `detach` would log an error.
        """
        if isinstance(token, Token):
            variable: Any = token.var
            try:
                variable.reset(token)
            except ValueError:
                return

    async def around(self, step: Awaitable[T]) -> T:
        """Await one step with the span current."""
        token = self.attach()
        try:
            return await step
        finally:
            self.detach(token)
