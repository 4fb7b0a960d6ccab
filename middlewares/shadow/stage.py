"""The stage that tries something beside real calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar, Self, get_args

from ...pipeline.beside import begin_beside
from ...pipeline.call import Call, CallOptions
from ...pipeline.delivery import Recipient, Sink
from ...pipeline.errors import ConfigError
from ...pipeline.facts import SHADOWS, ShadowBegun, ShadowRefusal
from ...pipeline.plan import Rule, stage_name
from ...pipeline.pricing import PriceTable, default_prices
from ...pipeline.purse import Purse
from ...pipeline.stream import Handler, Middleware, Reply, observed
from ...pipeline.types import Operation
from .compare import Compare
from .desk import Desk
from .real import Real
from .run import Run, Tried, shadow_request

_BILLED = "inside it, what a shadow sends would count for the caller"
_TRIES = "a call has one shadow, not one for each try"


@dataclass(frozen=True, slots=True)
class Shadow:
    """Runs a target, or stages, beside a share of the calls, and notes what they would have done. The calls are as without it.

    `target`: the request is sent there too, and the answers are compared. `stage`: a stage or a list of them is given the
    call and the call's own answer, and nothing is sent. Both: the request goes through the stages to the target.

    A shadow never delays, fails or cancels its call: it is a task of its own, with a deadline, attempts, a cost and a trace
    of its own, on nobody's bill. At most `most_in_flight` run at once; they cost at most `most_usd` over `window_s`.
    """

    rule: ClassVar[Rule] = Rule(
        inside={
            "Budget": _BILLED,
            "RateLimit": _BILLED,
            "Cost": _BILLED,
            "Ledger": _BILLED,
            "Callbacks": _BILLED,
            "Tracing": "what a call's trace shows is the call",
        },
        better_inside={
            "Cache": "outside it the calls that it answers are tried too, and the shadow may be answered by it"
        },
        better_outside={"Retry": _TRIES, "Fallback": _TRIES, "Hedge": _TRIES},
        provides=("shadows", "shadow"),
        reinvokes=True,
        notes=("runs calls of its own beside",),
    )

    target: str | None = None
    """`vendor/model`."""
    stage: Middleware | Sequence[Middleware] = ()
    share: float = 0.05
    """Of the calls, by their ids: several shadows of one share run beside the same calls."""
    name: str = ""
    """What facts and metrics call it; by default the target, or the names of the stages."""
    compare: Compare | None = None
    """`(the call's answer, the shadow's)` -> True, False or names of what differs; plain or async. None: text, tool calls and finish reason."""
    on_result: Sequence[Sink] = ()
    """Functions that are told of each shadow, off every path."""
    timeout_s: float = 120.0
    """For the shadow; and once more for the call to end, for a stream may take its reader long."""
    attempts: int = 3
    most_in_flight: int = 16
    most_usd: Decimal | float | None = None
    """US dollars that shadows may cost in a window; a target without a price then has none. None means no such cap."""
    window_s: float = 86_400.0
    operations: Collection[Operation] = ("chat", "embeddings", "moderation", "rerank")
    flush_s: float = 5.0
    """How long closing waits for shadows under way."""
    queue_size: int = 1000
    prices: PriceTable | None = field(default=None, repr=False)
    _stages: tuple[Any, ...] = field(init=False, repr=False, compare=False)
    _tried: Tried = field(init=False, repr=False, compare=False)
    _desk: Desk = field(init=False, repr=False, compare=False)
    _purse: Purse | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stages = tuple(self.stage) if isinstance(self.stage, (list, tuple)) else (self.stage,)
        self._check(stages)
        prices = self.prices or default_prices()
        name = self.name or self.target or ", ".join(map(stage_name, stages))
        tried = Tried(name, stages, self.target, self.compare, prices, self.timeout_s)
        object.__setattr__(self, "_stages", stages)
        object.__setattr__(self, "_tried", tried)
        recipients = [Recipient.of(sink) for sink in self.on_result]
        object.__setattr__(self, "_desk", Desk(name, self.most_in_flight, recipients, self.queue_size))
        purse = Purse(Decimal(str(self.most_usd)), self.window_s, prices) if self.most_usd is not None else None
        object.__setattr__(self, "_purse", purse)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        """`stage` in a configuration is a stage's name, a name with settings, or a list of those."""
        from ...pipeline.stagenames import make_stage  # reaches all stages by name

        given = settings.get("stage", ())
        entries = given if isinstance(given, list) else [given] if given else []
        stages = []
        for entry in entries:
            named = {entry: {}} if isinstance(entry, str) else entry
            if not isinstance(named, Mapping) or len(named) != 1:
                raise ConfigError(f"stage: expected a stage's name, or one with its settings, found {entry!r}.")
            [(name, its)] = named.items()
            stages.append(make_stage(str(name), its or {}))
        return cls(**{**settings, "stage": stages})

    def _check(self, stages: Sequence[object]) -> None:
        if not stages and not self.target:
            raise ConfigError(
                "Shadow: expected a target or a stage, found neither. Say what to try: target='vendor/model'."
            )
        for stage in stages:
            if isinstance(stage, type) or not callable(stage):
                raise ConfigError(f"Shadow.stage: expected a stage or a list of stages, found {stage!r}.")
            if isinstance(stage, Shadow):
                raise ConfigError("Shadow.stage: expected another stage, found a Shadow. Put the two side by side.")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"Shadow.share: expected a share from 0 to 1, found {self.share}.")
        for name in ("timeout_s", "window_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"Shadow.{name}: expected seconds above 0, found {getattr(self, name)}.")
        if not 0 <= self.flush_s < math.inf:
            raise ConfigError(f"Shadow.flush_s: expected seconds from 0, found {self.flush_s}.")
        for name in ("attempts", "most_in_flight", "queue_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Shadow.{name}: expected at least 1, found {getattr(self, name)}.")
        if self.most_usd is not None and not self.most_usd > 0:
            raise ConfigError(f"Shadow.most_usd: expected US dollars above 0 or None, found {self.most_usd}.")
        if self.most_usd is not None and not self.target:
            raise ConfigError("Shadow.most_usd: expected a target too: stages alone send nothing and cost nothing.")
        _check_names("operations", self.operations)
        if not isinstance(self.on_result, (list, tuple)) or not all(map(callable, self.on_result)):
            raise ConfigError("Shadow.on_result: expected a list of functions.")
        if self.compare is not None and not callable(self.compare):
            raise ConfigError("Shadow.compare: expected a function of two answers.")

    async def open(self) -> None:
        """Open the stages that are tried, and read the prices before the first estimate needs them."""
        for stage in self._stages:
            if hasattr(stage, "open"):
                await stage.open()
        if self._purse is not None:  # else the first shadow reads them
            await self._desk.load(self._tried.prices)

    async def aclose(self) -> None:
        """Wait for the shadows under way, for `flush_s`; then end them and close the stages."""
        await self._desk.aclose(self.flush_s)
        for stage in self._stages:
            if hasattr(stage, "aclose"):
                await stage.aclose()

    async def state(self) -> Mapping[str, Any]:
        """What shadows came to in this process. A shadow that fails is no trouble of the pipeline's."""
        desk = self._desk
        judged = desk.verdicts["agreed"] + desk.verdicts["differed"]
        return {
            "condition": "ok",
            "running": desk.tasks.running,
            "verdicts": dict(desk.verdicts),
            "agreement": desk.verdicts["agreed"] / judged if judged else None,
            "dropped": dict(desk.refused),
            "spent_usd": str(desk.spent_usd),
            "of_unknown_cost": desk.unpriced,
        }

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply as it is."""
        if call.dry_run or call.beside or int(call.id, 16) >= self.share * 2.0**64:
            return await call_next(call)
        real = self._begin(call, call_next) if call.request.operation in self.operations else None
        if real is None:
            return await call_next(call)
        begun_ns = call.clock.now_ns()
        reply = await observed(call, call_next, real.ended)
        real.reply_s = (call.clock.now_ns() - begun_ns) / 1e9
        return reply

    def _begin(self, call: Call, call_next: Handler) -> Real | None:
        """Start a shadow, if nothing is against it; either way a fact of the call says so."""
        name, reserved_usd = self._tried.name, None
        if self._purse is not None and self.target is not None:
            reserved_usd = self._purse.estimate(call.with_target(call.resolve(self.target)))
        if refusal := self._refusal(call, reserved_usd):
            self._desk.refused[refusal] += 1
            call.add(SHADOWS, ShadowBegun(name, "", refusal))
            return None
        request = shadow_request(call.request, self.target)
        beside = begin_beside(
            call, name, request, self._options(call), timeout_s=self.timeout_s, attempts=self.attempts
        )
        if self.target is None:
            beside = beside.with_target(call.target)
        call.add(SHADOWS, ShadowBegun(name, beside.id))
        loop = asyncio.get_running_loop()
        real = Real(loop)
        call.when_recorded(real.recorded)
        run = Run(self._tried, self._desk, real, call, beside, call_next)
        self._desk.tasks.run(self._settled(run, reserved_usd), loop)
        return real

    async def _settled(self, run: Run, reserved_usd: Decimal | None) -> None:
        try:
            await run.run()
        finally:
            if self._purse is not None and reserved_usd is not None:
                self._purse.correct(run.beside.clock.now_ns(), reserved_usd, run.cost_usd)

    def _refusal(self, call: Call, reserved_usd: Decimal | None) -> ShadowRefusal | None:
        if self._desk.tasks.full:
            return "too_many"
        if self._purse is None:
            return None
        if reserved_usd is None:
            return "unpriced"
        return None if self._purse.take(call.clock.now_ns(), reserved_usd) else "money_spent"

    def _options(self, call: Call) -> CallOptions:
        """The caller's, but what was meant for another vendor: a key is never sent where its owner did not send it."""
        if self.target is None:
            return call.options
        options = replace(call.options, route=None)
        if call.resolve(self.target).provider == call.target.provider:
            return options
        return replace(options, api_key=None, base_url=None, headers={}, settings={})


def _check_names(setting: str, given: Collection[str]) -> None:
    if isinstance(given, str) or (unknown := set(given) - set(get_args(Operation))):
        found = given if isinstance(given, str) else sorted(unknown)
        raise ConfigError(f"Shadow.{setting}: expected a list of {', '.join(get_args(Operation))}; found {found!r}.")
