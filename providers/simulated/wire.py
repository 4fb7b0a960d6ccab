"""The seam between the simulated model and the protocols it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .dice import Dice
    from .prompt import Prompt
    from .prompt_cache import CacheUse, PromptCache
    from .reading import Json
    from .refusal import Refusal
    from .script import Answer


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `closing` ones end a stream (finish reason, usage, terminator)."""

    data: str
    name: str | None = None
    closing: bool = False

    def encode(self) -> bytes:
        """The event as bytes, with the blank line that ends it."""
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {self.data}\n\n".encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Everything that a wire needs to write one successful answer."""

    prompt: Prompt
    answers: Sequence[Answer]
    dice: Dice
    created_s: int
    cache: CacheUse
    signing_key: str
    with_usage: bool = True


class Wire(Protocol):
    """One vendor's protocol, written and read without I/O."""

    def accepts_key(self, headers: Mapping[str, str], keys: frozenset[str] | None) -> None:
        """Raises `Refusal` (401) unless the request carries a good key; `keys=None` takes any."""

    def read(self, body: Json, *, model: str, signing_key: str) -> Prompt:
        """The prompt of a parsed body. Raises `Refusal` (400) for what the vendor would not take."""

    def cached(self, prompt: Prompt, cache: PromptCache) -> CacheUse:
        """What the vendor's prompt cache does with this prompt."""

    def refuse_model(self, model: str) -> Refusal:
        """The refusal of a model that does not exist."""

    def refuse_length(self, tokens: int, window: int) -> Refusal:
        """The refusal of a prompt that is longer than the context window."""

    def rate_limited(self, model: str, retry_after_s: float) -> Refusal:
        """The refusal of one request too many."""

    def overloaded(self) -> Refusal:
        """The refusal when the vendor has no capacity."""

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """A refusal as a complete body."""

    def error_event(self, refusal: Refusal, request_id: str) -> Event:
        """A refusal inside a stream."""

    def headers(self, request_id: str, now_s: float, input_tokens: int, *, exhausted: bool) -> dict[str, str]:
        """The vendor's own response headers: request id and rate limits."""

    def models(self, names: Sequence[str]) -> bytes:
        """The list of models as a complete body."""

    def complete(self, exchange: Exchange) -> bytes:
        """A complete answer."""

    def events(self, exchange: Exchange) -> list[Event]:
        """The answer as a stream."""
