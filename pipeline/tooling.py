"""The client's method that runs tools until the model answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from .asking import Asking
from .call import NO_OPTIONS, CallOptions
from .errors import ConfigError
from .functions import Functions, function_tools
from .params import chat_messages
from .portal import run_sync
from .types import ChatRequest, ChatResponse, Message

if TYPE_CHECKING:
    from .facts import ToolRan
    from .toolloop import ToolRun

OnError = Literal["tell", "raise"]


class Tooling(Asking):
    """Methods of `Client`; see there for what all of them take and raise."""

    def run_tools(
        self,
        model: str,
        messages: str | Sequence[Message | dict[str, Any]],
        tools: Functions,
        *,
        max_rounds: int = 8,
        tool_timeout_s: float | None = 60.0,
        on_error: OnError = "tell",
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ToolRun:
        """Ask, run the functions that the model asks for, give their results back, until it answers: `.text`, `.messages`, `.executions`.

        `tools`: functions, plain or async; their type hints and docstrings are what the model is told. Those of one round run at
        the same time, plain ones in threads; each has `tool_timeout_s` seconds (a thread that takes longer is left behind).
        `max_rounds`: how often the model is asked at most. `on_error`: what a function raises is told to the model, its text
        included, or raised here. Arguments that do not fit and unknown names are always told to the model.

        Each round is a call of its own; its record's `tools` fact shows what ran before it, and where traces are kept each execution is a span.
        Raises `ResponseValidationError` when the rounds are over without an answer; `partial` is then the last response.
        """
        return run_sync(
            self._run_tools, model, messages, tools, (max_rounds, tool_timeout_s), on_error, options, params
        )

    async def arun_tools(
        self,
        model: str,
        messages: str | Sequence[Message | dict[str, Any]],
        tools: Functions,
        *,
        max_rounds: int = 8,
        tool_timeout_s: float | None = 60.0,
        on_error: OnError = "tell",
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ToolRun:
        """`run_tools`, on the running event loop."""
        return await self._run_tools(model, messages, tools, (max_rounds, tool_timeout_s), on_error, options, params)

    async def _run_tools(
        self,
        model: str,
        messages: str | Sequence[Message | dict[str, Any]],
        functions: Functions,
        bounds: tuple[int, float | None],
        on_error: OnError,
        options: CallOptions,
        params: dict[str, Any],
    ) -> ToolRun:
        from .telemetry.toolspans import ToolTraces  # most programs run no tools
        from .toolloop import Limits, Loop

        limits = Limits(*bounds)
        limits.check()
        if on_error not in ("tell", "raise"):
            raise ConfigError(f"on_error: expected tell or raise, found {on_error!r}.")
        if params.get("stream") or "tools" in params:
            raise ConfigError(
                "run_tools: expected neither stream nor further tools, found one of them. Use completion() for those."
            )
        tools = function_tools(functions)
        told = tuple(tool.tool() for tool in tools.values())

        async def ask(said: Sequence[Message], ran: Sequence[ToolRan]) -> ChatResponse:
            fields = {"messages": tuple(said), "tools": told}
            return await self._awhole(
                ChatResponse, self._params(ChatRequest, model, fields, replace(options, ran=tuple(ran)), params)
            )

        loop = Loop(tools, ask, limits, on_error, ToolTraces(self.pipeline.telemetry))
        given = chat_messages(messages, None) if isinstance(messages, str) else messages
        return await loop.run([Message.model_validate(message) for message in given])
