"""The loop of tools: ask the model, run what it asks for, give back the results, until it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import ValidationError

from .clock import SYSTEM_CLOCK
from .errors import ConfigError, ResponseValidationError
from .facts import ToolOutcome, ToolRan
from .functions import FunctionTool
from .pricing import total
from .telemetry.toolspans import ToolTraces
from .types import ChatResponse, Message, ToolCall

OnToolError = Literal["tell", "raise"]
Ask = Callable[[Sequence[Message], Sequence[ToolRan]], Awaitable[ChatResponse]]
"""One round: the conversation so far, and the executions whose results are new in it."""

_AT_ONCE = 16
"""Tools of one round that run at the same time."""


class Limits(NamedTuple):
    """What bounds a loop: rounds of asking, and seconds for each execution (None: no limit)."""

    rounds: int = 8
    tool_timeout_s: float | None = 60.0

    def check(self) -> None:
        """Raises `ConfigError` for limits that cannot be."""
        if self.rounds < 1:
            raise ConfigError(f"max_rounds: expected at least 1, found {self.rounds}.")
        if self.tool_timeout_s is not None and self.tool_timeout_s <= 0:
            raise ConfigError(f"tool_timeout_s: expected seconds above 0 or None, found {self.tool_timeout_s}.")


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A loop that has ended with an answer."""

    response: ChatResponse
    """The last one: it asks for no tool."""
    messages: tuple[Message, ...]
    """The whole conversation, the answer included: what a next question goes behind."""
    responses: tuple[ChatResponse, ...]
    executions: tuple[ToolRan, ...]

    @property
    def text(self) -> str:
        """The answer."""
        return self.response.text

    @property
    def cost(self) -> Decimal | None:
        """US dollars of all rounds; None if that of one is unknown."""
        costs = [response.cost for response in self.responses]
        return total(cost for cost in costs if cost is not None) if None not in costs else None


@dataclass(slots=True)
class Loop:
    """One run. `tell`: a tool's failure goes back to the model, by the error's type and text; `raise`: to the caller, as it is."""

    tools: Mapping[str, FunctionTool]
    ask: Ask
    limits: Limits
    on_error: OnToolError
    traces: ToolTraces
    ran: list[ToolRan] = field(default_factory=list)

    async def run(self, messages: Sequence[Message]) -> ToolRun:
        """Ask until there is an answer. Raises `ResponseValidationError`, the last response as `partial`, if there is none in time."""
        said = list(messages)
        responses: list[ChatResponse] = []
        new: Sequence[ToolRan] = ()
        for _ in range(self.limits.rounds):
            response = await self.traces.around(self.ask(said, new))
            self.traces.asked(response.record)
            responses.append(response)
            said.append(response.message)
            if not response.tool_calls:
                return ToolRun(response, tuple(said), tuple(responses), tuple(self.ran))
            results, new = await self._round(response.tool_calls, len(responses))
            said += results
        error = ResponseValidationError(
            f"Expected an answer within {self.limits.rounds} rounds, found the model still asking for tools. Raise max_rounds.",
            retryable=False,
        )
        error.partial = responses[-1]
        raise error

    async def _round(self, calls: Sequence[ToolCall], number: int) -> tuple[list[Message], Sequence[ToolRan]]:
        gate = asyncio.Semaphore(_AT_ONCE)
        before = len(self.ran)
        tasks: list[asyncio.Task[Message]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._execute(call, number, gate)) for call in calls]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks], tuple(self.ran[before:])

    async def _execute(self, call: ToolCall, number: int, gate: asyncio.Semaphore) -> Message:
        name = call.function.name if call.function else ""
        arguments = call.function.arguments if call.function else ""
        start_ns = SYSTEM_CLOCK.now_ns()
        outcome: ToolOutcome = "failed"
        async with gate:
            with self.traces.tool(name if name in self.tools else "unknown", call.id) as span:
                try:
                    outcome, text = await self._result(name, arguments, span.around)
                finally:
                    span.ended(outcome)
                    duration_s = (SYSTEM_CLOCK.now_ns() - start_ns) / 1e9
                    self.ran.append(
                        ToolRan(name if name in self.tools else "unknown", call.id, number, outcome, duration_s)
                    )
        return Message(role="tool", tool_call_id=call.id, content=text)

    async def _result(
        self, name: str, arguments: str, around: Callable[[Awaitable[str]], Awaitable[str]]
    ) -> tuple[ToolOutcome, str]:
        """How it went, and what the model is told. Its own mistakes always go back to it."""
        tool = self.tools.get(name)
        if tool is None:
            return "unknown", f"Error: there is no tool of that name. There are: {', '.join(self.tools)}."
        try:
            given = tool.read(arguments)
        except ValidationError as error:
            return "invalid", f"Error: the arguments do not fit: {_where(error)}."
        try:
            async with asyncio.timeout(self.limits.tool_timeout_s):
                return "returned", await around(tool.run(given))
        except TimeoutError:
            if self.on_error == "raise":
                raise
            return "timeout", f"Error: the tool took longer than {self.limits.tool_timeout_s} seconds."
        except Exception as error:
            if self.on_error == "raise":
                raise
            return "failed", f"Error: {type(error).__name__}: {error}"


def _where(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[:3]
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'the whole'}: {item['msg']}" for item in first)
