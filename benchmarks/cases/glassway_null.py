"""Our own share: the full stack over a transport that answers from memory."""

from __future__ import annotations

from typing import Any, Self

import httpx
from cases.glassway_full import completion, stages
from upstream import stream as stream_answer
from upstream import unary as unary_answer

from glassway import Client, OpenAI, Pipeline
from glassway.providers.body import Answered, Arriving, Exchanging


class NullTransport(Exchanging):
    """No I/O: the same bytes as the upstream sends, at once, handed over as the fast transport does it."""

    def __init__(self, stream: bool) -> None:
        head, _, body = (stream_answer() if stream else unary_answer()).partition(b"\r\n\r\n")
        self.body = _dechunked(body) if stream else body
        self.headers = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:] if b"ransfer" not in line]

    async def exchange(self, request: httpx.Request) -> Answered:
        return Answered(200, self.headers, _Held(self.body))


class _Held(Arriving):
    """A body that has come along with its head."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def arrived(self) -> bytes:
        return self._body

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._body:
            raise StopAsyncIteration
        body, self._body = self._body, b""
        return body


def _dechunked(body: bytes) -> bytes:
    out = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        out.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(out)


async def prepare(_url: str, stream: bool) -> Any:
    """A client with the full stack over nothing."""
    provider = OpenAI(api_key="sk-test", transport=NullTransport(stream))
    return completion(Client(Pipeline(stages(), providers=[provider])), stream)
