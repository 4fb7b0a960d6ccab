"""The stage that sends embeddings as one request, and chats at one moment."""

from __future__ import annotations

import asyncio
import copy
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, cast
from weakref import WeakKeyDictionary

from ...pipeline.answers import answer_key, controls_of
from ...pipeline.call import Call, Target
from ...pipeline.errors import BadRequestError, ConfigError, GlasswayError, UnprocessableEntityError
from ...pipeline.facts import BATCH, Batched
from ...pipeline.plan import Rule
from ...pipeline.stream import Handler, Reply
from ...pipeline.types import EmbeddingsRequest, EmbeddingsResponse
from .gathering import Gathering, Item, Sent, Start, Word, divided, merged

T = TypeVar("T")

_OF_ONE = (BadRequestError, UnprocessableEntityError)
"""What the vendor says of one input, and then refuses all of them for."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Embeddings that are asked for within `wait_s` and are alike but for their inputs go out as one request.

    Alike: the same target, tenant, key, settings. Each caller gets its own vectors and its share of the tokens. If the vendor
    refuses the whole because of an input, each asks for itself, so that only who is wrong gets the error; other failures are
    everybody's. Who goes away takes only itself out.

    With `chats`, chats to one target wait for each other in the same way, and go out as requests of their own at the same
    moment: servers that work on what comes together at once have more to do so. Other operations pass by.
    """

    rule: ClassVar[Rule] = Rule(
        better_inside={
            "Cache": "outside Cache texts wait for company that are known already",
            "Retry": "outside Retry a failure of all is tried again by each for itself",
        },
        provides=("batch",),
        may_short_circuit=True,
        notes=("embeddings may wait for others",),
    )

    size: int = 128
    """Inputs that go out at once; requests with so many pass by."""
    wait_s: float = 0.01
    """How long the first one waits for others."""
    max_waiting: int = 10_000
    """Requests that may wait at once; more pass by."""
    chats: bool = False
    """Whether chats go out together too, `size` of them at most."""
    _gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Gathering]] = field(
        init=False, repr=False, compare=False, default_factory=WeakKeyDictionary
    )
    _starts: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Target, Start]] = field(
        init=False, repr=False, compare=False, default_factory=WeakKeyDictionary
    )

    def __post_init__(self) -> None:
        for name in ("size", "max_waiting"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 2:
                raise ConfigError(f"Batch.{name}: expected a whole number from 2, found {value!r}.")
        if isinstance(self.wait_s, bool) or not isinstance(self.wait_s, (int, float)) or not 0 < self.wait_s < math.inf:
            raise ConfigError(f"Batch.wait_s: expected seconds above 0, found {self.wait_s!r}.")

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The reply: this call's part of what came back for all."""
        request = call.request
        if self.chats and request.operation == "chat" and not call.dry_run:
            await self._line_up(call)
            return await call_next(call)
        if not isinstance(request, EmbeddingsRequest) or call.dry_run or len(request.inputs) >= self.size:
            return await call_next(call)
        key = self._key(call, request)
        if key is None:
            return await call_next(call)
        began_ns = call.clock.now_ns()
        gathering = self._gathering(call, key, len(request.inputs))
        item = gathering.join(call, request)
        if gathering.inputs >= self.size:
            self._seal(gathering, key)
        word = await self._waited(gathering, item)
        waited_s = (call.clock.now_ns() - began_ns) / 1e9
        if isinstance(word, BaseException):
            call.set(BATCH, Batched("joined", 0, waited_s))
            raise word
        if isinstance(word, Sent):
            call.set(BATCH, Batched("joined", word.requests, waited_s, word.by))
            return word.response
        if word == "send":
            return await self._send(call, call_next, gathering, item, waited_s)
        call.set(BATCH, Batched("alone", 1, waited_s))
        return await call_next(call)

    async def _line_up(self, call: Call) -> None:
        """Wait for others to the same target. Raises `APITimeoutError` when the deadline passes."""
        loop = asyncio.get_running_loop()
        starts = self._starts.setdefault(loop, {})
        if sum(len(start.waiting) for start in starts.values()) >= self.max_waiting:
            return
        began_ns, target = call.clock.now_ns(), call.target
        start = starts.get(target)
        if start is None:
            start = starts[target] = Start(loop)
            start.timer = call.clock.call_later(self.wait_s, lambda: self._go(loop, target))
        ticket = start.line_up()
        if len(start.waiting) >= self.size:
            self._go(loop, target)
        try:
            together = await _by_deadline(call, ticket)
        finally:
            del start.waiting[ticket]
            if not start.waiting and starts.get(target) is start:  # all have gone away
                self._go(loop, target)
        call.set(BATCH, Batched("together", together, (call.clock.now_ns() - began_ns) / 1e9))

    def _go(self, loop: asyncio.AbstractEventLoop, target: Target) -> None:
        start = self._starts.get(loop, {}).pop(target, None)
        if start is not None:
            start.go()

    def _key(self, call: Call, request: EmbeddingsRequest) -> str | None:
        if controls_of(call.options.cache).no_cache or not _is_plain(request):
            return None
        waiting = sum(len(each.items) for each in self._of_loop().values())
        kind = "text" if isinstance(request.inputs[0], str) else "tokens"
        alike = request.but(input=(kind,))
        return answer_key(call, namespace="batch", request=alike) if waiting < self.max_waiting else None

    def _of_loop(self) -> dict[str, Gathering]:
        return self._gatherings.setdefault(asyncio.get_running_loop(), {})

    def _gathering(self, call: Call, key: str, inputs: int) -> Gathering:
        """The one that has room; a new one goes out after `wait_s`."""
        known = self._of_loop()
        found = known.get(key)
        if found is not None and found.inputs + inputs > self.size:
            self._seal(found, key)
            found = None
        if found is None:
            found = known[key] = Gathering(asyncio.get_running_loop())
            gathering = found
            gathering.timer = call.clock.call_later(self.wait_s, lambda: self._seal(gathering, key))
        return found

    def _seal(self, gathering: Gathering, key: str) -> None:
        """Nobody joins any more, and somebody sends."""
        if gathering.sealed:
            return
        gathering.sealed = True
        if gathering.timer is not None:
            gathering.timer.cancel()
        known = self._of_loop()
        if known.get(key) is gathering:
            del known[key]
        gathering.appoint()

    async def _waited(self, gathering: Gathering, item: Item) -> Word:
        """What this request hears. Raises `APITimeoutError` when its deadline passes, and leaves the others to themselves."""
        try:
            return await _by_deadline(item.call, item.word)
        except BaseException:
            gathering.leave(item)
            raise

    async def _send(self, call: Call, call_next: Handler, gathering: Gathering, item: Item, waited_s: float) -> Reply:
        """For all who wait."""
        items = [item, *gathering.others(item)]
        call.set(BATCH, Batched("sent", len(items), waited_s, call.id))
        if len(items) == 1:
            return await call_next(call)
        try:
            reply = await call_next(call.with_request(merged(items)))
            parts = divided(cast("EmbeddingsResponse", reply), items)
        except _OF_ONE:
            self._each_for_itself(items)
            return await call_next(call.with_request(item.request))
        except GlasswayError as error:
            for other in items[1:]:
                _tell(other, _copied(error))
            raise
        except BaseException:  # the sender goes away, or a stage is broken: the next one sends
            gathering.leave(item)
            raise
        if parts is None:
            self._each_for_itself(items)
            return await call_next(call.with_request(item.request))
        for other, part in zip(items[1:], parts[1:], strict=True):
            _tell(other, Sent(part, call.id, len(items)))
        return parts[0]

    def _each_for_itself(self, items: list[Item]) -> None:
        for other in items[1:]:
            _tell(other, "alone")


async def _by_deadline(call: Call, word: asyncio.Future[T]) -> T:
    """What is told; raises `APITimeoutError` if the deadline comes first."""
    left_s = call.remaining_s()
    if left_s is None:
        return await word
    try:
        async with call.clock.limit(left_s):
            return await word
    except TimeoutError:
        call.check_deadline()
        raise


def _is_plain(request: EmbeddingsRequest) -> bool:
    """Texts or token ids; a vendor's own multimodal inputs are not mixed."""
    return not any(isinstance(one, dict) for one in request.inputs)


def _tell(item: Item, word: Word) -> None:
    if not item.word.done():
        item.word.set_result(word)


def _copied(error: GlasswayError) -> GlasswayError:
    """Each caller's error has the record of its own call."""
    copied: Any = copy.copy(error)
    copied.record = None
    return cast("GlasswayError", copied)
