"""The pipeline: an ordered list of stages in front of one or several providers, that observes itself."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Protocol, Self, overload

from .attempts import attempt
from .call import NO_OPTIONS, Call, CallOptions, Circuits
from .chain import compile_chain
from .clock import SYSTEM_CLOCK, Clock
from .dryrun import DryRun, DryRunStop
from .errors import ConfigError, GlasswayError, PlanError
from .facts import PAYLOAD, TOOLS
from .outcome import Outcome, completed, notify_all, outcome_of
from .parts import PartLimits, parts_of, send_parts
from .plan import Plan, PlannedStage, check_order, rule_of, settings_of, stage_name
from .portal import run_sync
from .record import Record, make_record
from .statistics import Statistics
from .stream import Handler, Middleware, Reply, Stream
from .telemetry import Telemetry
from .telemetry.names import metrics_of
from .trace import Stopwatch, Trace
from .turns import Turns
from .types import EmbeddingsRequest, Request

Provider = Handler
"""The terminal: any `async (call) -> reply`. A vendor's object also has `name`, `preview(call)`, `open()` and `aclose()`."""


class Lifecycle(Protocol):
    """What a stage, store or provider with resources has. Both may be called more than once."""

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


class Pipeline:
    """Stages, outermost first, in front of providers. Compiled once; safe for concurrent use; `async with` opens its resources.

    `providers`: one or several; the first serves bare model names. A provider may be a plain async function of the call.
    `timeout_s`: the deadline of calls that bring none; None means no deadline.
    `attempts`: the most requests that one call may send to vendors, over retries, fallbacks and hedges.
    `telemetry`: None for the defaults (Prometheus metrics; traces where OpenTelemetry is configured), False for none at all.

    Raises `PlanError` if the order of the stages cannot work.
    """

    def __init__(
        self,
        stages: Sequence[Middleware] = (),
        provider: Provider | None = None,
        *,
        providers: Sequence[Provider] = (),
        telemetry: Telemetry | bool | None = None,
        clock: Clock = SYSTEM_CLOCK,
        timeout_s: float | None = 600.0,
        attempts: int = 10,
    ) -> None:
        if attempts < 1:
            raise ConfigError(f"attempts: expected at least 1, found {attempts}.")
        if timeout_s is not None and not 0 < timeout_s < math.inf:
            raise ConfigError(f"timeout_s: expected seconds above 0 or None, found {timeout_s}.")
        self._stages = tuple(zip(_names(stages), stages, strict=True))
        self._providers = _by_name([*([] if provider is None else [provider]), *providers])
        self._circuits = _with_circuits(stages)
        self._advice = check_order([(stage_name(stage), stage) for stage in stages])
        self._known = {name: _vendor(provider) or name for name, provider in self._providers.items()}
        self._chain = compile_chain(self._stages, self._dispatch)
        self._stage_names = (*(name for name, _ in self._stages), "provider")
        self._telemetry = _telemetry(telemetry)
        self._clock = clock
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._resources: AsyncExitStack | None = None
        self._opening = Turns()
        self._closed = False
        self._draining = False
        self._successor: Pipeline | None = None
        self._owner: Pipeline | None = None
        """Who opens and closes the parts that both have."""
        self._inherited = False
        """Whether its predecessor left it parts that are open."""
        self._in_flight = 0
        self._when_idle: Callable[[], object] | None = None
        self.statistics = Statistics()
        """What it has done so far; handed on to its successor."""

    # -- one call

    async def send(self, request: Request, options: CallOptions = NO_OPTIONS) -> Reply:
        """Send one request through the chain. Returns a `Response`, or a `Stream` if the request asks for one.

        Raises errors of `glassway.errors`; each carries the call's `record`.
        """
        self._in_flight += (
            1  # before anything else: whoever retires the pipeline waits for this call, or it sees the successor
        )
        if self._successor is not None or self._draining:
            self._leave()
            return await self._elsewhere(request, options)
        try:
            if self._resources is None:
                await self.open()
            trace = self._telemetry.begin(request, options, self._clock) if self._telemetry else None
            call = self._call(request, options, trace)
        except BaseException:
            self._leave()
            raise
        try:
            if trace is None:
                reply = await self._chain.bare(call)
            elif not trace.trace_id or self._telemetry is None:
                reply = await self._chain.metered(call)
            else:
                reply = await self._current(call, trace, self._telemetry)
        except BaseException as error:
            self._finish(call, Outcome(outcome_of(error), error=error))
            raise
        return self._hand_over(call, reply)

    async def _current(self, call: Call, trace: Trace, telemetry: Telemetry) -> Reply:
        """With the call's span current."""
        trace.call_id = call.id
        token = telemetry.attach(trace)
        try:
            return await self._chain.metered(call)
        finally:
            telemetry.detach(trace, token)

    def _hand_over(self, call: Call, reply: Reply) -> Reply:
        if not isinstance(reply, Stream):
            outcome = completed(reply)
            self._finish(call, outcome)
            return outcome.response or reply
        trace = call.state.trace
        watch = None
        if trace is not None:
            trace.root.end_ns = call.clock.now_ns()
            watch = Stopwatch(trace)
            reply.meter(watch)
            if trace.trace_id and trace.telemetry is not None:
                reply.suspend(trace.telemetry.around)
        return reply.when_done(lambda outcome: self._finish(call, outcome, watch))

    def _finish(self, call: Call, outcome: Outcome, watch: Stopwatch | None = None) -> None:
        state, trace = call.state, call.state.trace
        state.finished = True
        if trace is not None:
            trace.end_ns = watch.stop() if watch else state.clock.now_ns()
            trace.root.end_ns = trace.root.end_ns or trace.end_ns
        record = make_record(call, outcome, self._stage_names)
        if isinstance(outcome.error, GlasswayError):
            outcome.error.record = record
            outcome.error.attempts = state.attempts_made
        outcome.attach(record)
        try:
            if self._telemetry is not None:
                self._telemetry.finish(record, outcome)  # never raises
            self.statistics.note(record)
            if state.recorded:
                notify_all(state.recorded, record, outcome)
                state.recorded.clear()  # they may hold the call, which holds them: only the garbage collector would part them
        finally:
            self._leave()

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._when_idle is not None and self._in_flight == 0:
            self._when_idle()

    async def _elsewhere(self, request: Request, options: CallOptions) -> Reply:
        if self._successor is not None:
            return await self._successor.send(request, options)
        raise ConfigError("This pipeline is being drained and takes no new calls. Send them to another one.")

    def _call(self, request: Request, options: CallOptions, trace: Trace | None, *, dry_run: bool = False) -> Call:
        call = Call.start(
            request,
            options=options,
            clock=self._clock,
            known=self._known,
            attempt_budget=self._attempts,
            timeout_s=self._timeout_s,
            trace=trace,
            dry_run=dry_run,
            circuits=self._circuits,
            host=self,
        )
        for ran in options.ran:
            call.add(TOOLS, ran)
        return call

    # -- a call beside another

    def begin_beside(
        self, name: str, request: Request, options: CallOptions, *, timeout_s: float, attempts: int
    ) -> Call:
        """A call that `end_beside` closes; see `beside.begin_beside`."""
        trace = self._telemetry.begin_beside(request, options, self._clock) if self._telemetry else None
        call = Call.start(
            request,
            options=options,
            clock=self._clock,
            known=self._known,
            attempt_budget=attempts,
            timeout_s=timeout_s,
            trace=trace or Trace(self._clock),
            circuits=self._circuits,
            host=self,
            beside=name,
        )
        if call.state.trace is not None:
            call.state.trace.call_id = call.id
        return call

    def end_beside(self, beside: Call, outcome: Outcome) -> Record:
        """Its record. Telemetry counts it apart from the callers' calls."""
        state, trace = beside.state, beside.state.trace
        state.finished = True
        if trace is not None:
            trace.end_ns = trace.root.end_ns = state.clock.now_ns()
        record = make_record(beside, outcome, self._stage_names)
        outcome.attach(record)
        if self._telemetry is not None:
            self._telemetry.finish_beside(record)
        return record

    def _dispatch(self, call: Call) -> Awaitable[Reply]:
        provider = self._provider_of(call)
        if call.dry_run:
            preview = getattr(provider, "preview", None)
            call.set(PAYLOAD, preview(call) if preview else {})
            raise DryRunStop(call.target)
        name = getattr(provider, "name", None) or stage_name(provider)
        if isinstance(call.request, EmbeddingsRequest) and len(parts := _parts(call, call.request, provider)) > 1:
            return send_parts(call, parts, name, provider)
        return attempt(call, name, provider)

    def _provider_of(self, call: Call) -> Provider:
        if not self._providers:
            raise PlanError("The pipeline has no provider. Give it one: Pipeline(stages, providers=[OpenAI()]).")
        name = call.target.provider
        if name is None:
            return next(iter(self._providers.values()))
        if name not in self._providers:
            raise PlanError(
                f"No provider {name!r} in this pipeline; it has {', '.join(self._providers)}. Add it to `providers`.",
                model=str(call.target),
            )
        return self._providers[name]

    # -- what it is

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers by name; the first serves bare model names."""
        return dict(self._providers)

    @property
    def stages(self) -> Mapping[str, Middleware]:
        """The stages by name, outermost first."""
        return dict(self._stages)

    @property
    def telemetry(self) -> Telemetry | None:
        """Where spans and metrics go; None if they are off."""
        return self._telemetry

    @property
    def in_flight(self) -> int:
        """Calls that have not ended; an open stream is one."""
        return self._in_flight

    @overload
    def explain(self) -> Plan: ...

    @overload
    def explain(self, request: Request, options: CallOptions = NO_OPTIONS) -> DryRun: ...

    def explain(self, request: Request | None = None, options: CallOptions = NO_OPTIONS) -> Plan | DryRun:
        """Without a request: the plan. With one: a dry run through the real stages, which dispatches, stores and bills nothing."""
        return self._plan() if request is None else run_sync(self.aexplain, request, options)

    async def aexplain(self, request: Request, options: CallOptions = NO_OPTIONS) -> DryRun:
        """The dry run, for callers on an event loop."""
        await self.open()
        call = self._call(request, options, Trace(self._clock), dry_run=True)
        target = call.target
        reply: Reply | None = None
        error: GlasswayError | None = None
        try:
            reply = await self._chain.metered(call)
        except DryRunStop as stop:
            target = stop.target
        except GlasswayError as refused:
            error = refused
        if isinstance(reply, Stream):
            await reply.aclose()
        return DryRun.of(call, target, self._plan(), answered=reply is not None, error=error)

    def _plan(self) -> Plan:
        planned = tuple(
            PlannedStage(
                position,
                name,
                settings_of(stage),
                rule_of(stage),
                spans=(name,),
                metrics=metrics_of(rule_of(stage).provides),
            )
            for position, (name, stage) in enumerate(self._stages)
        )
        return Plan(planned, tuple(self._providers), tuple(self._advice))

    # -- lifecycle

    async def open(self) -> None:
        """Open what stages and providers hold. Called by `async with`, and by the first call otherwise."""
        async with self._opening:
            if self._closed:
                raise ConfigError("This pipeline is closed. Make a new one: a closed one is not opened again.")
            if self._resources is not None:
                return
            borrowed = await self._open_owner()
            async with AsyncExitStack() as stack:  # closes what was opened, if one cannot be
                for part in (*self._providers.values(), *(stage for _, stage in self._stages)):
                    if id(part) in borrowed:
                        continue
                    if hasattr(part, "aclose"):
                        stack.push_async_callback(part.aclose)
                    if hasattr(part, "open"):
                        await part.open()
                self._resources = stack.pop_all()

    async def _open_owner(self) -> set[int]:
        """Let whoever owns parts of this one open them; which they are."""
        owner = self._owner
        if owner is None:
            return set()
        while owner._successor is not None:  # noqa: SLF001 - of our own class
            owner = self._owner = owner._successor  # noqa: SLF001 - as above
        await owner.open()
        return owner._borrowed_by(self)  # noqa: SLF001 - as above

    def _borrowed_by(self, other: Pipeline) -> set[int]:
        """Identities of the parts that both have."""
        return {id(part) for part in self._parts()} & {id(part) for part in other._parts()}

    async def aclose(self) -> None:
        """Flush and close what was opened, stages before providers. Calls are refused from now on."""
        async with self._opening:
            self._closed = True
            stack, self._resources = self._resources, None
            inherited, self._inherited = self._inherited, False
        try:
            if stack is not None:
                await stack.aclose()
            elif inherited:
                await self._close_parts(but=set())
        finally:
            if self._telemetry is not None:
                await asyncio.to_thread(self._telemetry.flush)

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new calls and wait for those under way, at most `timeout_s`; whether all of them have ended."""
        self._draining = True
        return await self._idle(timeout_s)

    def succeeded_by(
        self,
        stages: Sequence[Middleware],
        providers: Sequence[Provider] | None = None,
        *,
        timeout_s: float | None = None,
        attempts: int | None = None,
    ) -> Pipeline:
        """Another pipeline in this one's place: what is None stays as it is. Calls that still come here go there. Then `retire` this one.

        Raises `ConfigError` or `PlanError`, and then nothing has changed.
        """
        if self._closed or self._successor is not None:
            raise ConfigError("This pipeline is closed or has a successor. Change the one that takes calls.")
        new = self._like(stages, providers, timeout_s, attempts)
        new.statistics = self.statistics
        new._owner = self._owner  # noqa: SLF001 - of our own class
        new._inherited = self._inherited or self._resources is not None  # noqa: SLF001 - as above
        self._successor = new
        return new

    def derive(self, stages: Sequence[Middleware]) -> Pipeline:
        """Another pipeline of the same providers and settings, with these stages. What both have, this one opens and closes. Raises `PlanError`."""
        new = self._like(stages, None, None, None)
        new._owner = self  # noqa: SLF001 - of our own class
        return new

    def _like(
        self,
        stages: Sequence[Middleware],
        providers: Sequence[Provider] | None,
        timeout_s: float | None,
        attempts: int | None,
    ) -> Pipeline:
        return Pipeline(
            stages,
            providers=tuple(self._providers.values()) if providers is None else providers,
            telemetry=self._telemetry or False,
            clock=self._clock,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
            attempts=self._attempts if attempts is None else attempts,
        )

    async def retire(self) -> None:
        """Wait for the calls under way, then close what the successor does not use."""
        await self._idle(None)
        kept = {id(part) for part in self._successor._parts()} if self._successor is not None else set()  # noqa: SLF001 - of our own class
        async with self._opening:
            self._closed, self._resources = True, None
        await self._close_parts(but=kept)

    async def _close_parts(self, *, but: set[int]) -> None:
        """Stages before providers, without those that are somebody else's to close."""
        if self._owner is not None:
            but = but | self._owner._borrowed_by(self)  # noqa: SLF001 - of our own class
        for part in self._parts():
            if id(part) not in but and hasattr(part, "aclose"):
                await part.aclose()

    async def _idle(self, timeout_s: float | None) -> bool:
        loop, idle = asyncio.get_running_loop(), asyncio.Event()
        self._when_idle = partial(_wake, loop, idle)
        if self._in_flight == 0:
            return True
        try:
            await asyncio.wait_for(idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _parts(self) -> tuple[object, ...]:
        return (*(stage for _, stage in self._stages), *self._providers.values())

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Pipeline({' -> '.join((*(name for name, _ in self._stages), ' | '.join(self._providers) or 'no provider'))})"


def _wake(loop: asyncio.AbstractEventLoop, idle: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop of whoever waited is closed
        loop.call_soon_threadsafe(idle.set)


def _names(stages: Sequence[Middleware]) -> list[str]:
    """Names of stages; a second one of a kind gets a number."""
    names: list[str] = []
    for stage in stages:
        _check_part("A stage is an async function of (call, call_next) or an object that can be called", stage)
        name = stage_name(stage)
        again = sum(1 for other in names if other.split("#")[0] == name)
        names.append(f"{name}#{again + 1}" if again else name)
    return names


def _check_part(expected: str, part: object) -> None:
    if isinstance(part, type):
        raise PlanError(f"{expected}; found the class {part.__name__}. Make one of it: {part.__name__}(...).")
    if not callable(part):
        raise PlanError(f"{expected}; found {type(part).__name__}.")


def _by_name(providers: Sequence[Provider]) -> dict[str, Provider]:
    named: dict[str, Provider] = {}
    for provider in providers:
        _check_part("A provider is an async function of the call or an object that can be called", provider)
        name = getattr(provider, "name", None) or stage_name(provider)
        if name in named:
            raise PlanError(f"Two providers are called {name!r}. Give one of them another name: name='{name}-2'.")
        named[name] = provider
    return named


def _parts(call: Call, request: EmbeddingsRequest, provider: Provider) -> list[EmbeddingsRequest]:
    """The request as the provider can take it: it says how much it takes at once."""
    limits: Callable[[Call], PartLimits] | None = getattr(provider, "part_limits", None)
    return [request] if limits is None else parts_of(request, limits(call))


def _with_circuits(stages: Sequence[object]) -> tuple[Circuits, ...]:
    return tuple(stage for stage in stages if isinstance(stage, Circuits))


def _vendor(provider: Provider) -> str | None:
    """The catalogue's name of what a provider reaches, where it comes from the catalogue."""
    return getattr(getattr(provider, "row", None), "name", None)


def _telemetry(chosen: Telemetry | bool | None) -> Telemetry | None:
    if isinstance(chosen, Telemetry):
        return chosen
    return None if chosen is False else Telemetry.default()
