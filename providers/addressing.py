"""Where a vendor is and who we are there: URLs and keys, and both made fit to be shown."""

from __future__ import annotations

import os
import re
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import httpx
from pydantic import SecretStr

from ..pipeline.call import NO_OPTIONS
from ..pipeline.errors import ConfigError, GlasswayError
from ..pipeline.types import ChatRequest, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..pipeline.call import Call
    from .catalogue import Row

E = TypeVar("E", bound=GlasswayError)

_MASK = "***"
_PUBLIC_HEADERS = frozenset(
    {"user-agent", "accept", "accept-encoding", "content-type", "traceparent", "anthropic-version", "anthropic-beta"}
)
_DEFAULT_PORTS = {"https": 443, "http": 80}
_ENTRA_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
"""Azure takes a key in a header of its own, and a token of Entra ID, which is a JWT, as a bearer's."""
_GOOGLE_KEY = re.compile(r"AIza|AQ\.")
"""How Google's API keys begin; its access tokens begin with `ya29.`, or are JWTs.

Source: https://cloud.google.com/docs/authentication/api-keys, https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
"""
_URLS_KEPT = 64
_SHORTEST_ECHO = 12
_MOST_ECHOES = 2048
_WORDY = ("input", "prompt", "instructions", "query", "documents")
"""Where requests of other operations than chat have their texts."""
_SHORTEST_KEY = 8


class Address:
    """A vendor's place and our key for it, with what one call overrides."""

    def __init__(
        self, row: Row, base_url: str | None, api_key: SecretStr | None, headers: Mapping[str, str] | None = None
    ) -> None:
        """`headers`: the user's own, which may be secrets as well."""
        self._row = row
        self._base_url = base_url
        self._api_key = api_key
        self._private = tuple((headers or {}).values())
        self._usual: str | None = None
        """The environment's base URL, else the row's, once it was needed."""
        self._urls: dict[tuple[str, str], httpx.URL] = {}
        if base_url is None and row.base_url is None and row.base_url_env is None:
            raise ConfigError(
                f"{row.name} has no base URL of its own. Give it one: base_url='http://127.0.0.1:8000/v1'."
            )
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise ConfigError("base_url: expected a URL that begins with http:// or https://, found another.")

    def key(self, call: Call | None = None) -> SecretStr | None:
        """The key: the call's, else the provider's own, else the environment's. Raises `ConfigError` if one is needed."""
        if call is not None and (own := call.state.options.api_key) is not None:
            return own
        if self._api_key is not None:
            return self._api_key
        for variable in self._row.key_variables:
            if value := os.environ.get(variable):
                return SecretStr(value)
        if self._row.needs_key:
            raise ConfigError(
                f"No key for {self._row.name}: expected api_key=... or the environment variable {' or '.join(self._row.key_variables)}, found neither.",
                provider=self._row.name,
            )
        return None

    def url(self, path: str, base_url: str | None = None) -> httpx.URL:
        """`path` behind the base URL; a query of the base URL is kept."""
        base = base_url or self._base()
        if (known := self._urls.get((base, path))) is not None:
            return known
        if len(self._urls) >= _URLS_KEPT:
            self._urls.clear()
        url = self._urls[base, path] = _joined(base, path)
        return url

    def place(self, call: Call | None, path: str) -> httpx.URL:
        """Where the codec's `path` is for this call. Raises `ConfigError` if nobody has said which base URL."""
        base = (call.state.options.base_url if call is not None else None) or self._base()
        if not base:
            raise ConfigError(
                f"No base URL for {self._row.name}: expected base_url=... or the environment variable {self._row.base_url_env}, found neither.",
                provider=self._row.name,
            )
        place = self._row.place
        return self.url(path if place is None else place(base, path, call), base)

    def _base(self) -> str:
        if self._base_url:
            return self._base_url
        if self._usual is None:  # looked up once: it takes as long as making the whole request
            from_env = os.environ.get(self._row.base_url_env) if self._row.base_url_env else None
            self._usual = (from_env and _with_scheme(from_env, self._row.base_url)) or self._row.base_url or ""
        return self._usual

    @property
    def shown(self) -> str:
        """The base URL, without user, password and query."""
        return masked_url(self.url("")) if self._base() else f"${self._row.base_url_env}"

    def without_secrets(self, error: E, call: Call | None = None) -> E:
        """The same error, its message cleared of what the vendor quoted: our key, the user's headers, the URL's secrets, the prompt."""
        message = error.message
        for secret in self._secrets(call):
            message = message.replace(secret, _MASK)
        error.message = message
        error.args = (message,)
        return error

    def _secrets(self, call: Call | None) -> Iterator[str]:
        key = self.key(call)
        options = call.options if call is not None else NO_OPTIONS
        values = [*self._private, *options.headers.values(), *_private_parts(options.base_url or self._base())]
        if key is not None:
            values.append(key.get_secret_value().strip())
        yield from sorted((value for value in values if len(value) >= _SHORTEST_KEY), key=len, reverse=True)
        if call is not None:
            words = islice(_words(call.request), _MOST_ECHOES)
            texts = {text for whole in words for text in _texts(whole) if len(text) >= _SHORTEST_ECHO}
            yield from sorted(texts, key=len, reverse=True)


def _words(request: Request) -> Iterator[str]:
    if isinstance(request, ChatRequest):
        yield from (message.text for message in request.messages)
        return
    for name in _WORDY:
        value = getattr(request, name, None)
        for item in value if isinstance(value, tuple) else (value,):
            text = item.get("text") if isinstance(item, dict) else item
            if isinstance(text, str):
                yield text


def _with_scheme(place: str, usual: str | None) -> str:
    """A vendor's variable may hold a host alone, as `OLLAMA_HOST` does: scheme and port are then the usual ones.

    Source: https://docs.ollama.com/faq#how-do-i-configure-ollama-server
    """
    if "://" in place or usual is None:
        return place
    known = httpx.URL(usual)
    host, port = place.strip("/"), f":{known.port}" if known.port else ""
    if host.startswith("0.0.0.0"):  # noqa: S104 - where a server listens is no place to connect to
        host = host.replace("0.0.0.0", "127.0.0.1", 1)  # noqa: S104
    return f"{known.scheme}://{host}" + ("" if ":" in host.rpartition("]")[2] else port)


def _texts(text: str) -> tuple[str, ...]:
    return (text, *text.split("\n")) if len(text) < 1_000 else ()


def _joined(base: str, path: str) -> httpx.URL:
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL as error:
        raise ConfigError(f"base_url: expected a URL, found one that is not valid ({error}).") from None
    if not url.host or url.scheme not in _DEFAULT_PORTS:
        raise ConfigError("base_url: expected a URL with http:// or https:// and a host, found another.")
    own_path, _, query = url.raw_path.partition(b"?")
    more_path, _, more_query = path.encode().partition(b"?")
    queries = b"&".join(part for part in (query, more_query) if part)
    return url.copy_with(
        raw_path=own_path.rstrip(b"/") + more_path + (b"?" + queries if queries else b""), fragment=None
    )


def _private_parts(base_url: str) -> list[str]:
    """The password and the values of the query."""
    url = httpx.URL(base_url)
    return [part for part in (url.password, *url.params.values()) if part]


def port_of(url: httpx.URL) -> int | None:
    """The port, also where it is the scheme's own."""
    return url.port or _DEFAULT_PORTS.get(url.scheme)


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by lower-case name, so that a later one replaces an earlier one however it is spelt."""
    return {name.lower(): value for name, value in headers.items()}


def authorization(row: Row, key: SecretStr | None) -> dict[str, str]:
    """The header that carries the key."""
    if key is None:
        return {}
    value = key.get_secret_value().strip()
    if not value.isprintable() or not value.isascii() or " " in value:
        raise ConfigError(
            f"The key for {row.name}: expected printable ASCII without spaces, found something else. Was it pasted whole, and nothing else?"
        )
    if row.auth == "bearer" or (row.auth == "api-key" and _ENTRA_TOKEN.match(value)):
        return {"authorization": f"Bearer {value}"}
    if row.auth == "google":
        return {"x-goog-api-key": value} if _GOOGLE_KEY.match(value) else {"authorization": f"Bearer {value}"}
    return {row.auth: value}


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the values of all but the harmless ones masked: nobody knows which of a user's own is a secret."""
    return {name: value if name in _PUBLIC_HEADERS else _MASK for name, value in headers.items()}


def masked_url(url: httpx.URL) -> str:
    """The URL without user, password and the values of its query."""
    port = f":{url.port}" if url.port else ""
    query = "?" + "&".join(f"{name}={_MASK}" for name in url.params) if url.query else ""
    return f"{url.scheme}://{url.host}{port}{url.path.rstrip('/')}{query}"
