"""The simulated vendor: a request in, a reply to play out; deterministic, without I/O."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING

from .anthropic_wire import AnthropicWire
from .damage import damage_body, damage_stream, instead, refusal_for
from .dice import Dice
from .exchange import Piece, SimulatedReply, SimulatedRequest, Sleep
from .faults import Fault, FaultPlan, parse_faults, split_model
from .forms import read_form
from .openai_wire import OpenAIWire
from .operations import OPERATIONS, Asked, Operated
from .prompt import identity_of
from .prompt_cache import PromptCache
from .reading import Json, string
from .refusal import Refusal
from .request_log import RequestLog, SeenRequest
from .script import answer
from .timing import Timing
from .wire import Event, Exchange, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .prompt import Prompt

_OPENAI, _ANTHROPIC = OpenAIWire(), AnthropicWire()
_CHATS: Mapping[str, Wire] = {"/v1/chat/completions": _OPENAI, "/v1/messages": _ANTHROPIC}
_MODELS_PATH = "/v1/models"
Files = dict[str, list[bytes]]
_DEFAULT_MODELS = ("claude-sim", "gpt-sim", "gpt-sim-mini")
_BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
)


class SimulatedVendor:
    """Answers OpenAI chat completions and Anthropic Messages requests as the vendors do, and OpenAI's other operations.

    The content of an answer depends on `seed` and the request body alone: the same seed gives the same bytes on
    every machine (`created` is `now()`; request ids count up). Two things are remembered between requests, both
    bounded: prompt-cache prefixes of at least `cache_minimum_tokens` and how often faults struck.

    `models`: the names that exist; `None` means every name but those that begin with `unknown`.
    `api_keys`: the keys that are accepted; `None` means any key, but one must be sent.
    `context_window` counts input tokens, of four characters each; a longer prompt gets a 400.
    `faults`: see `glassway.providers.simulated.faults`, which also tells how one request asks for a fault.
    `sleep` is awaited for every wait, so that a test's clock can replace it. Thread-safe.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        models: Iterable[str] | None = None,
        api_keys: Iterable[str] | None = None,
        context_window: int = 128_000,
        timing: Timing | None = None,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
        max_body_bytes: int = 4 << 20,
        cache_minimum_tokens: int = 1024,
    ) -> None:
        self.requests = RequestLog()
        self.abandoned = 0
        self.sleep = sleep
        self.max_body_bytes = max_body_bytes
        self._seed, self._now, self._timing = seed, now, timing or Timing()
        self._models = None if models is None else tuple(models)
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._context_window = context_window
        self._faults = FaultPlan(tuple(faults))
        self._cache = PromptCache(cache_minimum_tokens)
        self._answered = 0
        self._lock = threading.Lock()

    def respond(self, request: SimulatedRequest) -> SimulatedReply:
        """The reply to one request; every request gets one, whatever it contains."""
        body, files = _parsed(request)
        self.requests.add(SeenRequest(request.method, request.path, request.headers, body), len(request.body))
        wire = _wire_of(request)
        with self._lock:
            self._answered += 1
            request_id = f"req_{Dice(f'{self._seed}/request').child(self._answered).token(24)}"
            try:
                return self._answer(request, body, files, wire, request_id)
            except Refusal as refusal:
                return self._refused(refusal, wire, request_id)

    def note_abandoned(self) -> None:
        """Counts a reply whose reader went away before its end, in `abandoned`."""
        with self._lock:
            self.abandoned += 1

    def _answer(
        self, request: SimulatedRequest, body: Json | None, files: Files, wire: Wire, request_id: str
    ) -> SimulatedReply:
        _check_route(request)
        wire.accepts_key(request.headers, self._api_keys)
        if request.path == _MODELS_PATH:
            listing = wire.models(self._models or _DEFAULT_MODELS)
            return _body_reply(200, listing, wire.headers(request_id, self._now(), 0, exhausted=False))
        if len(request.body) > self.max_body_bytes:
            raise Refusal(413, f"Request exceeds the maximum size of {self.max_body_bytes} bytes")
        if body is None:
            raise Refusal(400, _BAD_JSON)
        if request.path in OPERATIONS:
            return self._operation(request, body, files, wire, request_id)
        return self._chat(request, body, wire, request_id)

    def _operation(
        self, request: SimulatedRequest, body: Json, files: Files, wire: Wire, request_id: str
    ) -> SimulatedReply:
        model, fault = self._fault_for(request, body)
        streamed = body.get("stream") is True
        if fault is not None:
            if reply := instead(fault):
                return reply
            if refusal := refusal_for(fault, wire, model, streamed=streamed):
                raise refusal
        self._check_model(model, wire)
        dice = Dice(f"{self._seed}/{request.path}/{identity_of(body)}")
        operated = OPERATIONS[request.path](Asked(model, body, files, dice, int(self._now())))
        headers = wire.headers(request_id, self._now(), operated.tokens, exhausted=False)
        reply = self._operated(operated, headers, dice)
        if fault is None:
            return reply
        if operated.events:
            return damage_stream(reply, operated.events, fault, wire.error_event(wire.overloaded(), request_id))
        return damage_body(reply, fault)

    def _operated(self, operated: Operated, headers: dict[str, str], dice: Dice) -> SimulatedReply:
        pieces = [event.encode() for event in operated.events] or operated.pieces or [operated.body]
        waits = self._timing.waits(len(pieces), dice.child("timing"))
        kind = "text/event-stream; charset=utf-8" if operated.events else operated.content_type
        timed = [Piece(piece, wait) for piece, wait in zip(pieces, waits, strict=True)]
        return SimulatedReply(200, {"content-type": kind, **headers}, timed, streamed=True)

    def _chat(self, request: SimulatedRequest, body: Json, wire: Wire, request_id: str) -> SimulatedReply:
        model, fault = self._fault_for(request, body)
        if fault is not None:
            if reply := instead(fault):
                return reply
            if refusal := refusal_for(fault, wire, model, streamed=body.get("stream") is True):
                raise refusal
        prompt = wire.read(body, model=model, signing_key=f"{self._seed}/signature")
        self._check(prompt, wire)
        exchange = self._exchange(prompt, wire, with_usage=fault is None or fault.kind != "missing_usage")
        headers = wire.headers(request_id, self._now(), prompt.tokens, exhausted=False)
        if not prompt.stream:
            reply = _body_reply(200, wire.complete(exchange), headers, self._duration_s(exchange))
            return damage_body(reply, fault) if fault else reply
        events = wire.events(exchange)
        reply = self._stream_reply(events, headers, exchange)
        return damage_stream(reply, events, fault, wire.error_event(wire.overloaded(), request_id)) if fault else reply

    def _fault_for(self, request: SimulatedRequest, body: Json) -> tuple[str, Fault | None]:
        try:
            model, named = split_model(string(body.get("model")))
            asked = parse_faults(request.headers.get("x-simulated-fault", ""))
        except ValueError as error:
            raise Refusal(400, f"Invalid simulated fault: {error}") from error
        scenario = request.headers.get("x-simulated-scenario", "")
        return model, self._faults.strike(model, scenario, [*asked, *named])

    def _check_model(self, model: str, wire: Wire) -> None:
        known = not model.startswith("unknown") if self._models is None else model in self._models
        if not known:
            raise wire.refuse_model(model)

    def _check(self, prompt: Prompt, wire: Wire) -> None:
        self._check_model(prompt.model, wire)
        if prompt.tokens > self._context_window:
            raise wire.refuse_length(prompt.tokens, self._context_window)

    def _exchange(self, prompt: Prompt, wire: Wire, *, with_usage: bool) -> Exchange:
        dice = Dice(f"{self._seed}/{prompt.identity}")
        return Exchange(
            prompt=prompt,
            answers=[answer(prompt, dice.child("choice", index)) for index in range(prompt.choices)],
            dice=dice,
            created_s=int(self._now()),
            cache=wire.cached(prompt, self._cache),
            signing_key=f"{self._seed}/signature",
            with_usage=with_usage,
        )

    def _duration_s(self, exchange: Exchange) -> float:
        chunks = max(sum(answer.tokens for answer in exchange.answers), 1)
        return sum(self._timing.waits(chunks, exchange.dice.child("timing")))

    def _stream_reply(self, events: Sequence[Event], headers: dict[str, str], exchange: Exchange) -> SimulatedReply:
        waits = self._timing.waits(len(events), exchange.dice.child("timing"))
        pieces = [Piece(event.encode(), wait) for event, wait in zip(events, waits, strict=True)]
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers}
        return SimulatedReply(200, headers, pieces, streamed=True)

    def _refused(self, refusal: Refusal, wire: Wire, request_id: str) -> SimulatedReply:
        headers = wire.headers(request_id, self._now(), 0, exhausted=refusal.status == 429)
        return _body_reply(refusal.status, wire.error(refusal, request_id), {**headers, **refusal.headers})


def _wire_of(request: SimulatedRequest) -> Wire:
    return _CHATS.get(request.path) or (_ANTHROPIC if "anthropic-version" in request.headers else _OPENAI)


def _check_route(request: SimulatedRequest) -> None:
    allowed = "GET" if request.path == _MODELS_PATH else "POST"
    if request.path not in (*_CHATS, *OPERATIONS, _MODELS_PATH):
        raise Refusal(404, f"Invalid URL ({request.method} {request.path})")
    if request.method != allowed:
        problem = f"Not allowed to {request.method} on {request.path}. (HINT: Perhaps you meant to use a different HTTP method?)"
        raise Refusal(405, problem, code="method_not_supported", headers={"allow": allowed})


def _parsed(request: SimulatedRequest) -> tuple[Json | None, Files]:
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        return read_form(kind, request.body)
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        return None, {}
    return (value if isinstance(value, dict) else None), {}


def _body_reply(status: int, body: bytes, headers: Mapping[str, str], delay_s: float = 0.0) -> SimulatedReply:
    framing = {"content-type": "application/json", "content-length": str(len(body))}
    return SimulatedReply(status, {**framing, **headers}, (Piece(body),), delay_s)
