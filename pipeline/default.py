"""The module-level functions: a client that is made when it is first needed, with every vendor of the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from .client import Client
from .registry import Registry

registry = Registry()
"""The names that the module-level functions know."""

_lock = threading.Lock()
_client: Client | None = None
_used: ContextVar[Client | None] = ContextVar("glassway_client", default=None)


def default_client() -> Client:
    """The client behind `glassway.chat` and its sisters: tracing, cost, routes and retry in front of every vendor that we know.

    Keys come from `api_key=` or the vendors' own environment variables when a call is made. Inside `use(client)` it is that one.
    """
    global _client
    if (used := _used.get()) is not None:
        return used
    with _lock:
        if _client is None:
            _client = Client(_default_pipeline(), registry=registry)
        return _client


@contextmanager
def use(client: Client) -> Iterator[Client]:
    """Let the module-level functions call `client` inside the `with` block: in this task or thread and what it starts, nowhere else.

    It is not closed at the end: whoever made it closes it.
    """
    token = _used.set(client)
    try:
        yield client
    finally:
        _used.reset(token)


def _default_pipeline() -> Any:
    from ..providers import every_provider
    from .pipeline import Pipeline
    from .presets import minimal

    return Pipeline(minimal(), providers=every_provider())


def _forward(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(default_client(), method.__name__)(*args, **kwargs)

    return call


if TYPE_CHECKING:
    _typed = cast("Client", None)
    chat, achat = _typed.chat, _typed.achat
    completion, acompletion = _typed.completion, _typed.acompletion
    parse, aparse = _typed.parse, _typed.aparse
    embedding, aembedding = _typed.embedding, _typed.aembedding
    moderation, amoderation = _typed.moderation, _typed.amoderation
    rerank, arerank = _typed.rerank, _typed.arerank
    image, aimage = _typed.image, _typed.aimage
    speech, aspeech = _typed.speech, _typed.aspeech
    transcription, atranscription = _typed.transcription, _typed.atranscription
    vision, avision = _typed.vision, _typed.avision
    run_tools, arun_tools = _typed.run_tools, _typed.arun_tools
    explain, batch = _typed.explain, _typed.batch
    with_fallback, with_retry = _typed.with_fallback, _typed.with_retry
    stats, health, ahealth, update = _typed.stats, _typed.health, _typed.ahealth, _typed.update
else:
    chat, achat = _forward(Client.chat), _forward(Client.achat)
    completion, acompletion = _forward(Client.completion), _forward(Client.acompletion)
    parse, aparse = _forward(Client.parse), _forward(Client.aparse)
    embedding, aembedding = _forward(Client.embedding), _forward(Client.aembedding)
    moderation, amoderation = _forward(Client.moderation), _forward(Client.amoderation)
    rerank, arerank = _forward(Client.rerank), _forward(Client.arerank)
    image, aimage = _forward(Client.image), _forward(Client.aimage)
    speech, aspeech = _forward(Client.speech), _forward(Client.aspeech)
    transcription, atranscription = _forward(Client.transcription), _forward(Client.atranscription)
    vision, avision = _forward(Client.vision), _forward(Client.avision)
    run_tools, arun_tools = _forward(Client.run_tools), _forward(Client.arun_tools)
    explain, batch = _forward(Client.explain), _forward(Client.batch)
    with_fallback, with_retry = _forward(Client.with_fallback), _forward(Client.with_retry)
    stats, health, ahealth = _forward(Client.stats), _forward(Client.health), _forward(Client.ahealth)
    update = _forward(Client.update)

register, unregister = registry.register, registry.unregister
setup, quick_setup = registry.setup, registry.quick_setup
