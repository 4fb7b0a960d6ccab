"""A store in Redis, shared by processes and machines."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..pipeline.errors import ConfigError, MissingExtraError, StoreError
from ._scripts import COMPARE_AND_SET, SETTLE, TAKE
from ._undoing import Undoing
from .store import LONGEST_S, Taken, Window
from .windows import check_take, check_units, check_window, geometry

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

T = TypeVar("T")
Told = bytes | str | int
"""An argument of a script."""

SCHEMES = ("redis", "rediss", "unix")

logger = logging.getLogger("glassway")


class RedisStore:
    """Values and windows in a Redis 5 or newer, or what speaks its protocol and runs Lua (Valkey, KeyDB, Dragonfly).

    `url`: `redis://user:password@host:6379/0`, `rediss://` with TLS, `unix:///path`; options of redis-py may follow the `?`
    (`ssl_ca_certs` ...), and this class's own settings. `timeout_s` bounds each question, connecting and waiting for a
    connection included; `max_connections` those of each event loop. After a failure nobody is kept waiting: questions fail at
    once, and one of them tries again every `pause_s`. Nothing has to be restarted when the server is back.

    Time is the server's own; each question is one command or script, and atomic. Room is the server's to bound (`maxmemory`):
    everything has a time to live, and with the policy `noeviction` a full server refuses instead of forgetting windows and
    states. Not for Redis Cluster, where the windows of one question lie on several nodes.
    """

    immediate = False

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 1.0,
        pause_s: float = 1.0,
        max_connections: int = 32,
        prefix: str = "glassway:",
    ) -> None:
        """Nothing is connected yet. Raises `ConfigError` for settings that cannot be, `MissingExtraError` without the package."""
        self._url, own = _divided(url)
        self._timeout_s = _number("timeout_s", own.get("timeout_s", timeout_s))
        self._pause_s = _number("pause_s", own.get("pause_s", pause_s))
        self._max_connections = int(_number("max_connections", own.get("max_connections", max_connections)))
        self._prefix = own.get("prefix", prefix).encode("utf-8", "surrogatepass")
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}
        self._lock = threading.Lock()
        self._undoing = Undoing()
        self._failed = ""
        self._asks_again_s = 0.0
        _Client(self._url, 1, self._timeout_s)  # whatever is wrong with the URL is wrong now

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Raises what redis-py raises, and `StoreError` while the server is not asked."""
        found = await self._ask(lambda client: client.redis.get(self._value(key)))
        return found if isinstance(found, bytes) else None

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value. Raises as `get` does."""
        if ttl_s <= 0:
            await self.delete(key)
        else:
            await self._ask(lambda client: client.redis.set(self._value(key), value, px=_milliseconds(ttl_s)))

    async def delete(self, key: str) -> None:
        """Forget a value. Raises as `get` does."""
        await self._ask(lambda client: client.redis.delete(self._value(key)))

    async def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, ttl_s: float) -> bool:
        """Replace a value if it is the expected one. Raises as `get` does."""
        new = value if ttl_s > 0 else None
        arguments: list[Told] = [
            *(("1", expected) if expected is not None else ("0", b"")),
            *(("1", new) if new is not None else ("0", b"")),
            _milliseconds(ttl_s),
        ]
        replaced: int = await self._ask(lambda client: client.compare_and_set([self._value(key)], arguments))
        return replaced == 1

    async def take(self, windows: Sequence[Window], amounts: Sequence[int]) -> Taken:
        """Take units from all windows or from none, by the server's clock. Raises as `get` does."""
        check_take(windows, amounts)
        if not windows:
            return Taken(True, (), ())
        keys = [self._window(window) for window in windows]
        arguments: list[Told] = [
            each
            for window, amount in zip(windows, amounts, strict=True)
            for each in (*_settings(window), window.limit, amount)
        ]

        async def decided() -> Taken:
            found = await self._ask(lambda client: client.take(keys, arguments))
            granted, wait_us, short, used, places = found
            wait_s = math.inf if wait_us < 0 else wait_us / 1e6
            return Taken(granted == 1, tuple(used), tuple(places), wait_s, short)

        async def undo(taken: Taken) -> None:
            if taken.granted:
                for window, slice_, amount in zip(windows, taken.slices, amounts, strict=True):
                    await self.settle(window, slice_, -amount)

        return await self._undoing.whole(decided(), undo)

    async def settle(self, window: Window, slice_: int, units: int) -> None:
        """Correct what was booked. Raises as `get` does."""
        check_units(units)
        arguments: list[Told] = [*_settings(window), slice_, units]
        await self._ask(lambda client: client.settle([self._window(window)], arguments))

    async def aclose(self) -> None:
        """Close this event loop's connections, and let go of those of loops that have ended. The store opens again when it is used again."""
        await self._undoing.flush()
        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._clients.pop(loop, None)
            for other in [other for other in self._clients if other.is_closed()]:
                del self._clients[other]
        if client is not None:
            await client.redis.aclose()

    def __repr__(self) -> str:
        """Without user, password and options."""
        found = urlsplit(self._url)
        port = f":{found.port}" if found.port else ""
        return f"RedisStore('{found.scheme}://{found.hostname or ''}{port}{found.path}')"

    # -- asking

    async def _ask(self, question: Callable[[_Client], Awaitable[T]]) -> T:
        """The answer, within `timeout_s`. A server that has failed is asked by one question every `pause_s`; the others fail at once."""
        if self._failed:
            self._may_ask_again()
        client = self._client()
        began = False
        try:
            async with asyncio.timeout(self._timeout_s), client.room:
                began = True
                answer = await question(client)
        except Exception as error:
            if began and client.is_away(error):
                self._note_failure(error)
            raise
        if self._failed:
            self._failed = ""
            logger.warning("%r answers again.", self)
        return answer

    def _may_ask_again(self) -> None:
        """Raises `StoreError` unless it is time, and this question the one to ask."""
        now_s = time.monotonic()
        with self._lock:
            if now_s >= self._asks_again_s:
                self._asks_again_s = now_s + self._pause_s
                return
        raise StoreError(
            f"{self!r} did not answer ({self._failed}), and is asked again every {self._pause_s:g} s. Is it running, and reachable?"
        )

    def _note_failure(self, error: Exception) -> None:
        if not self._failed:
            logger.warning(
                "%r does not answer (%s); asked again every %g s.", self, type(error).__name__, self._pause_s
            )
        self._failed = type(error).__name__
        self._asks_again_s = time.monotonic() + self._pause_s

    def _client(self) -> _Client:
        """This event loop's: connections belong to the loop that made them."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = _Client(self._url, self._max_connections, self._timeout_s)
            with self._lock:
                for other in [other for other in self._clients if other.is_closed()]:
                    del self._clients[other]
                self._clients[loop] = client
        return client

    def _value(self, key: str) -> bytes:
        return b"%sv:%s" % (self._prefix, key.encode("utf-8", "surrogatepass"))

    def _window(self, window: Window) -> bytes:
        return b"%sw:%s" % (self._prefix, window.key.encode("utf-8", "surrogatepass"))


class _Client:
    """One event loop's connections, and the scripts."""

    def __init__(self, url: str, max_connections: int, timeout_s: float) -> None:
        try:
            from redis import exceptions
            from redis.asyncio import ConnectionPool, Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ModuleNotFoundError:
            raise MissingExtraError("A store in Redis", "redis") from None
        try:
            pool = ConnectionPool.from_url(
                url,
                max_connections=max_connections,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
            pool.make_connection()  # type: ignore[no-untyped-call]  # opens nothing: an option that it does not know is wrong now, and not at each question
            self.redis: Redis = Redis.from_pool(pool)
        except (ValueError, TypeError):  # which may quote a part of a password that was not encoded
            raise ConfigError(_WRONG_URL) from None
        self.room = asyncio.Semaphore(max_connections)
        self._away = (exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError, OSError)
        self.take: AsyncScript = self.redis.register_script(TAKE)
        self.settle: AsyncScript = self.redis.register_script(SETTLE)
        self.compare_and_set: AsyncScript = self.redis.register_script(COMPARE_AND_SET)

    def is_away(self, error: Exception) -> bool:
        """Whether the server could not be reached, unlike one that refuses a question."""
        return isinstance(error, self._away)


_WRONG_URL = (
    "store: expected a Redis URL such as redis://user:password@127.0.0.1:6379/0, with options that redis-py knows. "
    "Is every sign of the password encoded (a slash as %2F, an at sign as %40)?"
)
_OWN = frozenset({"timeout_s", "pause_s", "max_connections", "prefix"})
"""Settings that may stand in the URL."""


def _divided(url: str) -> tuple[str, dict[str, Any]]:
    """The URL for redis-py, and our own settings that stood in it."""
    try:
        found = urlsplit(url)
        found.port  # noqa: B018 - read here, so that it can be read later
    except ValueError:
        raise ConfigError(_WRONG_URL) from None
    if found.scheme not in SCHEMES:
        raise ConfigError(
            f"store: expected a URL that begins with redis://, rediss:// or unix://, found {found.scheme!r}."
        )
    options = parse_qsl(found.query)
    own = {name: value for name, value in options if name in _OWN}
    theirs = [(name, value) for name, value in options if name not in own]
    return urlunsplit(found._replace(query=urlencode(theirs))), own


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ConfigError(f"RedisStore.{name}: expected a number above 0, found {value!r}.")
    return number


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(min(seconds, LONGEST_S) * 1000))


def _settings(window: Window) -> tuple[int, int, int, str]:
    check_window(window)
    return (*geometry(window), "1" if window.fixed else "0")
