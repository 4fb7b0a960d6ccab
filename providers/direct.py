"""A provider that is called by itself, without a pipeline of one's own: `OpenAI(api_key=...).completion("gpt-4o-mini", ...)`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ..pipeline.client import Client
    from ..pipeline.stream import Handler

_lock = threading.Lock()
"""One for all: a client is made once for each provider."""

_NAMES = (
    "chat", "completion", "parse", "embedding", "moderation", "rerank", "image", "speech", "transcription", "vision", "run_tools",
)  # fmt: skip


class Direct:
    """The client's methods, for one provider. Models are named as the vendor names them.

    Calls go through the stages of `presets.minimal`: traced, with their cost, and tried again where that helps.
    `client` is the client that they go to, with everything else that a client can do.
    """

    _client: Client | None = None

    @property
    def client(self) -> Client:
        """Made when it is first asked for. Closing it closes the provider's connections; a later call opens new ones."""
        with _lock:
            if self._client is None:
                self._client = _client_of(cast("Handler", self))
            return self._client

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


def _client_of(provider: Handler) -> Client:
    from ..pipeline.client import Client
    from ..pipeline.pipeline import Pipeline
    from ..pipeline.presets import minimal

    return Client(Pipeline(minimal(), provider))


def _method(name: str) -> Callable[..., Any]:
    def call(self: Direct, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.client, name)(*args, **kwargs)

    call.__name__, call.__qualname__ = name, f"{Direct.__name__}.{name}"
    call.__doc__ = f"`Client.{name}`, at this vendor."
    return call


for _name in _NAMES:
    setattr(Direct, _name, _method(_name))
    setattr(Direct, f"a{_name}", _method(f"a{_name}"))
