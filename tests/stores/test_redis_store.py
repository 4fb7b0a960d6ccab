"""What only a Redis does: its scripts count as our own arithmetic, it dies and comes back, and it keeps secrets."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import time
import uuid
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from realservers import RedisServer

from glassway.pipeline.errors import ConfigError, StoreError
from glassway.stores import RedisStore, Window, make_store
from glassway.stores._scripts import SETTLE, TAKE
from glassway.stores.windows import Held, correct, decide, geometry

pytestmark = pytest.mark.anyio

LATER_US = 4_000_000_000_000_000
"""In the year 2096, so that the server does not drop what is over by a clock of the past."""
WINDOWS = (
    Window("sliding", 10, 60.0),
    Window("narrow", 4, 1.0, slices=4),
    Window("fixed", 8, 30.0, fixed=True),
    Window("sliding", 20, 90.0, slices=7),
)


@pytest.fixture
def store(redis_server: RedisServer) -> RedisStore:
    return RedisStore(redis_server.url, prefix=f"{uuid.uuid4().hex}:", timeout_s=10)


# -- the same arithmetic


class Told:
    """The scripts, told the time."""

    def __init__(self, server: RedisServer) -> None:
        self._client = redis.Redis.from_url(server.url)
        self._prefix = uuid.uuid4().hex
        clock = "redis.call('TIME')"
        assert clock in TAKE
        assert clock in SETTLE
        told = f"{{redis.call('GET', '{self._prefix}:s'), redis.call('GET', '{self._prefix}:us')}}"
        self._take = self._client.register_script(TAKE.replace(clock, told))
        self._settle = self._client.register_script(SETTLE.replace(clock, told))

    def it_is(self, now_us: int) -> None:
        self._client.mset({f"{self._prefix}:s": now_us // 1_000_000, f"{self._prefix}:us": now_us % 1_000_000})

    def take(self, windows: list[Window], amounts: list[int]) -> tuple[Any, ...]:
        arguments = [
            each
            for window, amount in zip(windows, amounts, strict=True)
            for each in (*geometry(window), int(window.fixed), window.limit, amount)
        ]
        granted, wait_us, short, used, places = self._take([self._key(window) for window in windows], arguments)
        return bool(granted), tuple(used), tuple(places), float("inf") if wait_us < 0 else wait_us / 1e6, short

    def settle(self, window: Window, slice_: int, units: int) -> None:
        self._settle([self._key(window)], [*geometry(window), int(window.fixed), slice_, units])

    def close(self) -> None:
        self._client.close()

    def _key(self, window: Window) -> str:
        return f"{self._prefix}:{window.key}"


class Reference:
    """The same in Python."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self.now_us = 0

    def take(self, windows: list[Window], amounts: list[int]) -> tuple[Any, ...]:
        return tuple(decide([self._of(window) for window in windows], amounts, self.now_us))

    def settle(self, window: Window, slice_: int, units: int) -> None:
        correct(self._of(window), slice_, units, self.now_us)

    def _of(self, window: Window) -> Held:
        held = self._held.setdefault(window.key, Held(window))
        held.fit(window)
        return held


STEPS = st.one_of(
    st.tuples(st.just("later"), st.integers(-40_000_000, 100_000_000)),
    st.tuples(
        st.just("take"),
        st.lists(
            st.tuples(st.sampled_from(WINDOWS), st.integers(0, 12)),
            min_size=1,
            max_size=3,
            unique_by=lambda one: one[0].key,
        ),
    ),
    st.tuples(st.just("settle"), st.sampled_from(WINDOWS), st.integers(0, 20), st.integers(-12, 12)),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_scripts_and_our_own_arithmetic_decide_the_same(redis_server: RedisServer, steps: list[Any]) -> None:
    told, reference = Told(redis_server), Reference()
    now_us, booked = LATER_US, [(WINDOWS[0], LATER_US)]
    try:
        for step in steps:
            told.it_is(now_us)
            reference.now_us = now_us
            if step[0] == "later":
                now_us += step[1]
            elif step[0] == "take":
                windows, amounts = [list(each) for each in zip(*step[1], strict=True)]
                answer = told.take(windows, amounts)
                assert answer == reference.take(windows, amounts)
                booked += list(zip(windows, answer[2], strict=True))
            else:
                _, window, which, units = step
                slice_ = booked[which % len(booked)][1]
                told.settle(window, slice_, units)
                reference.settle(window, slice_, units)
    finally:
        told.close()


# -- what is kept, and how long


async def test_everything_has_a_time_to_live(redis_server: RedisServer, store: RedisStore) -> None:
    await store.set("value", b"x", 100)
    await store.compare_and_set("state", None, b"x", 200)
    await store.take([Window("sliding", 5, 60.0, slices=6), Window("fixed", 5, 60.0, fixed=True)], [1, 1])
    with redis.Redis.from_url(redis_server.url) as client:
        left_s = {
            key.decode().split(":", 1)[1]: client.pttl(key) / 1000
            for key in client.scan_iter(f"{store._prefix.decode()}*")
        }
    assert left_s == {
        "v:value": pytest.approx(100, abs=5),
        "v:state": pytest.approx(200, abs=5),
        "w:sliding": pytest.approx(65, abs=10),
        "w:fixed": pytest.approx(60, abs=5),
    }
    await store.aclose()


async def test_ten_years_are_the_longest(redis_server: RedisServer, store: RedisStore) -> None:
    await store.set("value", b"x", 1e12)
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.pttl(store._value("value")) <= 10 * 366 * 86_400_000
    await store.aclose()


async def test_scripts_that_the_server_has_forgotten_are_told_again(
    redis_server: RedisServer, store: RedisStore
) -> None:
    window = Window("w", 5, 60.0)
    await store.take([window], [1])
    with redis.Redis.from_url(redis_server.url) as client:
        client.script_flush()
    assert (await store.take([window], [1])).used == (2,)
    await store.aclose()


async def test_more_questions_than_connections_wait_their_turn(redis_server: RedisServer) -> None:
    store = RedisStore(f"{redis_server.url}?max_connections=2&timeout_s=10", prefix=uuid.uuid4().hex)
    await asyncio.gather(*(store.set(str(number), b"x", 60) for number in range(100)))
    assert await store.get("99") == b"x"
    await store.aclose()


def test_each_event_loop_has_connections_of_its_own(store: RedisStore) -> None:
    for number in range(3):
        asyncio.run(one_after_another(store, number))
    assert len(store._clients) == 0


async def one_after_another(store: RedisStore, number: int) -> None:
    assert await store.get("key") == (str(number - 1).encode() if number else None)
    await store.set("key", str(number).encode(), 60)
    await store.aclose()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ended_without_closing_is_let_go(store: RedisStore) -> None:
    asyncio.run(store.set("key", b"x", 60))
    asyncio.run(one_that_closes(store))
    assert len(store._clients) == 0
    gc.collect()


async def one_that_closes(store: RedisStore) -> None:
    assert await store.get("key") == b"x"
    await store.aclose()


# -- it dies


async def test_a_server_that_is_gone_is_asked_again_and_nothing_has_to_be_restarted(
    own_redis_server: RedisServer,
) -> None:
    store = RedisStore(own_redis_server.url, pause_s=0.05)
    await store.set("key", b"x", 60)
    own_redis_server.kill()
    with pytest.raises(redis.ConnectionError):
        await store.get("key")
    own_redis_server.restart()
    assert await until_it_answers(store) == b"x"
    await store.aclose()


async def until_it_answers(store: RedisStore) -> bytes | None:
    until = time.monotonic() + 20
    while True:
        try:
            return await store.get("key")
        except (StoreError, redis.RedisError):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)


async def test_while_it_is_gone_questions_fail_at_once(own_redis_server: RedisServer) -> None:
    store = RedisStore(own_redis_server.url, pause_s=1000)
    own_redis_server.kill()
    with pytest.raises(redis.ConnectionError):
        await store.get("key")
    began = time.perf_counter()
    for _ in range(1000):
        with pytest.raises(StoreError, match=r"did not answer \(ConnectionError\), and is asked again every 1000 s"):
            await store.get("key")
    assert time.perf_counter() - began < 2
    await store.aclose()


async def test_one_that_hangs_keeps_nobody_longer_than_its_limit(own_redis_server: RedisServer) -> None:
    store = RedisStore(own_redis_server.url, timeout_s=0.2, pause_s=1000)
    await store.set("key", b"x", 60)
    assert own_redis_server._process is not None
    own_redis_server._process.send_signal(signal.SIGSTOP)
    try:
        began = time.perf_counter()
        answers = await asyncio.gather(*(store.get("key") for _ in range(200)), return_exceptions=True)
        assert all(isinstance(answer, Exception) for answer in answers)
        assert time.perf_counter() - began < 5
        with pytest.raises(StoreError):
            await store.get("key")
    finally:
        own_redis_server._process.send_signal(signal.SIGCONT)
    await store.aclose()


async def test_a_full_pool_does_not_mean_that_the_server_is_gone(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url, max_connections=1, timeout_s=0.2, prefix=uuid.uuid4().hex)
    client = store._client()
    await client.room.acquire()
    with pytest.raises(TimeoutError):
        await store.get("key")
    client.room.release()
    assert await store.get("key") is None
    await store.aclose()


# -- secrets and settings


async def test_no_password_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    store = RedisStore("redis://user:hunter2@127.0.0.1:1/3?client_name=hunter2", pause_s=1000)
    said = [repr(store)]
    for _ in range(2):
        with pytest.raises((redis.RedisError, StoreError, OSError)) as caught:
            await store.get("key")
        said.append(f"{caught.value!r} {caught.value}")
    assert repr(store) == "RedisStore('redis://127.0.0.1:1/3')"
    assert "hunter2" not in " ".join(said) + caplog.text
    assert "does not answer" in caplog.text


async def test_a_wrong_password_says_so_and_is_not_shown(own_redis_server: RedisServer) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        client.config_set("requirepass", "right")
        store = RedisStore(own_redis_server.url.replace("//", "//:hunter2@"))
        with pytest.raises(redis.AuthenticationError) as caught:
            await store.get("key")
        assert "hunter2" not in str(caught.value)
        client.auth("right")
        client.config_set("requirepass", "")
    await store.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://h/0?timeout_s=0", "timeout_s: expected a number above 0, found '0'"),
        ("redis://h/0?pause_s=x", "pause_s: expected a number above 0"),
        ("redis://h/0?socket_keepalive_options=1&max_connections=-1", "max_connections: expected a number above 0"),
        ("redis://h:port/0", "expected a Redis URL"),
    ],
)
def test_settings_out_of_range_are_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_store(url)


@pytest.mark.parametrize(
    "url",
    ["redis://user:hunter2/x@host/0", "redis://user:hunter2#x@host/0", "redis://[::hunter2/0", "redis://h/0?db=hunter2",
     "redis://h/0?hunter2=1"],
)  # fmt: skip
def test_a_password_that_is_not_encoded_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="encoded") as caught:
        make_store(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_may_stand_in_the_url() -> None:
    store = make_store("rediss://h/0?timeout_s=2&pause_s=3&max_connections=4&prefix=p:&ssl_check_hostname=false")
    assert isinstance(store, RedisStore)
    assert (store._timeout_s, store._pause_s, store._max_connections, store._prefix) == (2, 3, 4, b"p:")


def test_without_the_extra_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['redis'] = None\n"
        "from glassway.stores import make_store\n"
        "try: make_store('redis://h/0')\n"
        "except Exception as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'glassway[redis]'" in ran.stdout


def test_a_store_that_is_not_in_redis_does_not_load_its_client() -> None:
    script = "import sys; from glassway.stores import make_store; make_store('memory'); print('redis' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
