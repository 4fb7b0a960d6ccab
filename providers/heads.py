"""The heads of requests: everything in front of a body that does not change from call to call, made once and kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx

from .addressing import authorization, port_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from .catalogue import Row
    from .codec import Encoded

MOST_HEADS = 64


_HEAD = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:(?!(?i:transfer-encoding):)[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\0\r\n]*\r\n)+"
)
"""The request's line and the headers'. What is sent whole has no transfer coding.

Source: https://datatracker.ietf.org/doc/html/rfc9112#section-3, https://datatracker.ietf.org/doc/html/rfc9110#section-5.6.2
"""


class Head:
    """Headers for one place, one key and one kind of answer, with the place taken apart."""

    __slots__ = ("_lines", "codecs", "headers", "host", "port", "url")

    def __init__(self, url: httpx.URL, codecs: Mapping[str, str], headers: httpx.Headers) -> None:
        self.url = url
        self.codecs = codecs
        """The codec's own headers, of which this was made."""
        self.headers = headers
        self.host = url.host
        self.port = port_of(url)
        self._lines: dict[str, tuple[bytes, bytes]] = {}

    def lines(self, method: str) -> tuple[bytes, bytes]:
        """What goes before and after the length of a body, as HTTP/1.1 sends it. Raises `httpx.LocalProtocolError`."""
        found = self._lines.get(method)
        if found is None:
            whole = _lines(method, self.url, self.headers)
            before, name, after = whole.partition(b"\r\ncontent-length: ")
            # the length that the head has, if a user gave one, is not the body's
            _, end, rest = after.partition(b"\r\n")
            found = self._lines[method] = (before + name, end + rest + b"\r\n")
        return found


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
        return Head(url, encoded.headers, headers)


class PreparedRequest(httpx.Request):
    """httpx's request whose headers and stream are made when somebody asks for them: our own transport does not."""

    def __init__(
        self,
        encoded: Encoded,
        head: Head,
        timeouts: Mapping[str, float | None],
        more: Mapping[str, str] | None = None,
    ) -> None:
        """`more`: headers of this call alone, by lower-case name; they go before the head's."""
        # not httpx's: it would copy, look for what is not there, and read the content from a stream
        self.method = encoded.method
        self.url = head.url
        self.extensions = {"timeout": timeouts}
        self._content = encoded.content
        self._head = head
        self._more = more
        self._made: httpx.Headers | None = None

    @property
    def headers(self) -> httpx.Headers:
        """This request's own: they may be added to."""
        if self._made is None:
            headers = self._made = httpx.Headers(self._head.headers)
            if self._content:
                headers["content-length"] = str(len(self._content))
            if self._more:
                headers.update(self._more)
        return self._made

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        """As a transport of the user's may do."""
        self._made = headers

    @property
    def stream(self) -> httpx.ByteStream:  # type: ignore[override]  # an attribute there
        """The content."""
        return httpx.ByteStream(self._content)

    def lines(self) -> bytes:
        """The request's line and the headers', as HTTP/1.1 sends them. Raises `httpx.LocalProtocolError`."""
        if self._made is not None or self._more or not self._content:
            return _lines(self.method, self.url, self.headers) + b"\r\n"
        before, after = self._head.lines(self.method)
        return b"%b%d%b" % (before, len(self._content), after)


def lines_of(request: httpx.Request) -> bytes:
    """The request's line and the headers', as HTTP/1.1 sends them. Raises `httpx.LocalProtocolError` for those that cannot be sent."""
    if isinstance(request, PreparedRequest):
        return request.lines()
    return _lines(request.method, request.url, request.headers) + b"\r\n"


def _lines(method: str, url: httpx.URL, headers: httpx.Headers) -> bytes:
    lines = [b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), url.raw_path)]
    lines += [b"%b: %b\r\n" % field for field in headers.raw]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or _HEAD.fullmatch(head) is None:
        raise httpx.LocalProtocolError("Expected a method, a path and headers that can be sent, found others.")
    return head
