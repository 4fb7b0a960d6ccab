"""The heads of requests: everything in front of a body that does not change from call to call, made once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import httpx

from .addressing import authorization, port_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from .catalogue import Row
    from .codec import Encoded

MOST_HEADS = 64


class Head(NamedTuple):
    """Headers for one place, one key and one kind of answer, with the place taken apart."""

    url: httpx.URL
    codecs: Mapping[str, str]
    """The codec's own headers, of which this was made."""
    headers: httpx.Headers
    host: str
    port: int | None


class Heads:
    """Makes heads and keeps those that come again. Safe for concurrent use: two that are made at once are alike."""

    def __init__(self, row: Row, own: Mapping[str, str]) -> None:
        """`own`: the provider's headers, by lower-case name."""
        self._row = row
        self._own = own
        self._kept: dict[tuple[int, str | None, bool, bool], Head] = {}

    def head(self, encoded: Encoded, url: httpx.URL, key: SecretStr | None, *, stream: bool) -> Head:
        """The head for a request to `url`. Raises `ConfigError` for a key that cannot be sent."""
        place = (id(url), key.get_secret_value() if key is not None else None, stream, bool(encoded.content))
        known = self._kept.get(place)
        if (
            known is not None
            and known.url is url
            and (known.codecs is encoded.headers or known.codecs == encoded.headers)
        ):
            return known
        if len(self._kept) >= MOST_HEADS:
            self._kept.clear()
        made = self._kept[place] = self._made(encoded, url, key, stream=stream)
        return made

    def named(self, encoded: Encoded, key: SecretStr | None, *, stream: bool) -> dict[str, str]:
        """The headers of a request by lower-case name, without those that frame it."""
        headers = {**self._own, **encoded.headers, **authorization(self._row, key)}
        if "accept" not in encoded.headers:
            headers["accept"] = "text/event-stream" if stream else "application/json"
        return headers

    def _made(self, encoded: Encoded, url: httpx.URL, key: SecretStr | None, *, stream: bool) -> Head:
        framing = {"host": url.netloc.decode("ascii")}
        if encoded.content:
            framing["content-length"] = ""  # each request's own takes this place
        headers = httpx.Headers({**framing, **self.named(encoded, key, stream=stream)})
        return Head(url, encoded.headers, headers, url.host, port_of(url))


def request_of(
    encoded: Encoded, head: Head, timeouts: Mapping[str, float | None], more: Mapping[str, str] | None = None
) -> httpx.Request:
    """The request. `more`: headers of this call alone, by lower-case name; they go before the head's."""
    # a stream of our own instead of `content=`: httpx then adds nothing and looks for nothing (8 us less)
    content = encoded.content
    request = _Request(
        encoded.method,
        head.url,
        headers=head.headers,
        stream=httpx.ByteStream(content),
        extensions={"timeout": timeouts},
    )
    headers = request.headers
    if content:
        headers["content-length"] = str(len(content))
    if more:
        for name, value in more.items():
            headers[name] = value
    request.has(content)
    return request


class _Request(httpx.Request):
    """One whose content is at hand from the beginning: httpx reads it from the stream first, and asks what kind that is."""

    def has(self, content: bytes) -> None:
        self._content = content
