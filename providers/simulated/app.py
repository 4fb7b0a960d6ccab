"""The simulated vendor: a request in, a reply to play out; deterministic, without I/O."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from .anthropic_wire import AnthropicWire
from .damage import damage_body, damage_stream, instead, refusal_for
from .dice import Dice
from .exchange import Piece, SimulatedReply, SimulatedRequest, Sleep
from .faults import Fault, FaultPlan, parse_faults, split_model
from .openai_wire import OpenAIWire
from .prompt import Prompt
from .prompt_cache import PromptCache
from .reading import Json, compact, string
from .refusal import Refusal
from .request_log import RequestLog, SeenRequest
from .script import answer
from .timing import Timing
from .wire import Exchange, Wire

_OPENAI, _ANTHROPIC = OpenAIWire(), AnthropicWire()
_CHATS: Mapping[str, Wire] = {"/v1/chat/completions": _OPENAI, "/v1/messages": _ANTHROPIC}
_MODELS_PATH = "/v1/models"
_DEFAULT_MODELS = ("claude-sim", "gpt-sim", "gpt-sim-mini")
_MODELS_CREATED_S = 1_735_689_600
_BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
)


class SimulatedVendor:
    """Answers OpenAI chat completions and Anthropic Messages requests as the vendors do.

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
        body = _parsed(request.body)
        self.requests.add(SeenRequest(request.method, request.path, request.headers, body), len(request.body))
        with self._lock:
            self._answered += 1
            return _Respondent(self, f"req_{Dice(f'{self._seed}/request').child(self._answered).token(24)}").reply(
                request, body
            )

    def note_abandoned(self) -> None:
        """Counts a reply whose reader went away before its end (see `abandoned`)."""
        with self._lock:
            self.abandoned += 1
