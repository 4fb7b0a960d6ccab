"""What every store does, and what each one bounds or refuses."""

from __future__ import annotations

import asyncio
import contextlib
import math
import pickle
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from everystore import KINDS_OF_STORES, empty_store

from glassway.pipeline.errors import ConfigError
from glassway.stores import DiskStore, MemoryStore, Store, Window, immediate, make_store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=KINDS_OF_STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = empty_store(request, tmp_path)
    yield made
    await made.aclose()


async def test_a_value_comes_back_as_it_was(store: Store) -> None:
    value = bytes(range(256)) * 300  # large enough for a file of its own on disk
    await store.set("key", value, 60)
    assert await store.get("key") == value


async def test_an_unknown_key_has_no_value(store: Store) -> None:
    assert await store.get("key") is None


async def test_a_later_value_replaces_an_earlier_one(store: Store) -> None:
    await store.set("key", b"one", 60)
    await store.set("key", b"two", 60)
    assert await store.get("key") == b"two"


async def test_a_deleted_value_is_gone_and_deleting_it_again_is_no_error(store: Store) -> None:
    await store.set("key", b"one", 60)
    await store.delete("key")
    await store.delete("key")
    assert await store.get("key") is None


async def test_closing_twice_is_no_error_and_a_store_that_is_used_again_opens_again(store: Store) -> None:
    await store.set("key", b"one", 60)
    await store.aclose()
    await store.aclose()
    assert await store.get("key") == b"one"


async def test_memory_forgets_what_has_expired() -> None:
    now_s = 0.0
    store = MemoryStore(now_s=lambda: now_s)
    await store.set("key", b"one", 10)
    now_s = 9.9
    assert await store.get("key") == b"one"
    now_s = 10.0
    assert await store.get("key") is None
    assert (len(store), store.held_bytes) == (0, 0)


async def test_memory_makes_room_by_dropping_what_was_not_read_for_longest() -> None:
    store = MemoryStore(max_entries=2)
    await store.set("a", b"1", 60)
    await store.set("b", b"2", 60)
    await store.get("a")
    await store.set("c", b"3", 60)
    assert [await store.get(key) for key in "abc"] == [b"1", None, b"3"]


async def test_memory_is_bounded_in_bytes_and_keeps_no_value_that_is_larger() -> None:
    store = MemoryStore(max_bytes=100)
    for number in range(50):
        await store.set(f"key-{number}", b"x" * 20, 60)
    assert store.held_bytes <= 100
    await store.set("large", b"x" * 200, 60)
    assert await store.get("large") is None
    assert store.held_bytes == 0


async def test_disk_outlives_the_store(tmp_path: Path) -> None:
    first = DiskStore(tmp_path / "state")
    await first.set("key", b"one", 60)
    await first.aclose()
    second = DiskStore(tmp_path / "state")
    assert await second.get("key") == b"one"
    await second.aclose()


async def test_the_directory_on_disk_is_its_owner_s_only(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    await store.set("key", b"one", 60)
    await store.aclose()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


class Trap:
    """Unpickling it leaves a mark."""

    sprung = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _spring, ()


def _spring() -> str:
    Trap.sprung = True
    return "sprung"


@pytest.mark.parametrize("in_a_file", [False, True])
async def test_a_pickle_in_the_files_is_refused_and_never_loaded(tmp_path: Path, in_a_file: bool) -> None:
    store = DiskStore(tmp_path / "state")
    await store.set("key", b"harmless", 60)
    await store.aclose()
    payload = pickle.dumps(Trap())
    (tmp_path / "state" / "aa").mkdir()
    (tmp_path / "state" / "aa" / "trap.val").write_bytes(payload)
    with sqlite3.connect(tmp_path / "state" / "cache.db") as database:
        filename, value = ("aa/trap.val", None) if in_a_file else (None, payload)
        database.execute("UPDATE Cache SET mode = 4, filename = ?, value = ?", (filename, value))
    database.close()
    with pytest.raises(ValueError, match="not plain bytes"):
        await store.get("key")
    await store.aclose()
    assert not Trap.sprung
    pickle.loads(payload)
    assert Trap.sprung, "the trap works"
    Trap.sprung = False


async def test_a_row_that_names_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    store = DiskStore(tmp_path / "state")
    await store.set("key", b"harmless", 60)
    await store.aclose()
    with sqlite3.connect(tmp_path / "state" / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 2, filename = '../outside.txt', value = NULL")
    database.close()
    with pytest.raises(ValueError, match="did not make"):
        await store.get("key")
    with pytest.raises(ValueError, match="did not make"):
        await store.set("key", b"new", 60)
    await store.aclose()
    assert outside.read_text() == "precious"


async def test_disk_takes_bytes_only(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    with pytest.raises(ValueError, match="A value is bytes; found dict"):
        await store.set("key", {"not": "bytes"}, 60)  # type: ignore[arg-type]
    await store.aclose()


async def test_stores_are_made_from_settings(tmp_path: Path) -> None:
    assert isinstance(make_store("memory"), MemoryStore)
    assert repr(make_store(f"disk:{tmp_path}/s")) == f"DiskStore('{tmp_path}/s')"


@pytest.mark.parametrize("place", ["", "disk", "disk:", "postgres://user:secret@host", "memory:1"])
async def test_an_unknown_place_is_an_error_that_shows_no_password(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_store(place)
    assert "secret" not in str(caught.value)


SLIDING = Window("sliding", 10, 60.0)


async def test_a_value_is_replaced_only_if_it_is_the_expected_one(store: Store) -> None:
    assert not await store.compare_and_set("key", b"other", b"one", 60)
    assert await store.compare_and_set("key", None, b"one", 60)
    assert not await store.compare_and_set("key", None, b"two", 60)
    assert await store.compare_and_set("key", b"one", None, 60)
    assert await store.get("key") is None


async def test_units_are_taken_from_all_windows_or_from_none(store: Store) -> None:
    narrow = Window("narrow", 3, 60.0)
    assert (await store.take([SLIDING, narrow], [3, 3])).granted
    refused = await store.take([SLIDING, narrow], [1, 1])
    assert (refused.granted, refused.used, refused.short) == (False, (3, 3), 1)
    assert refused.wait_s > 0
    assert (await store.take([SLIDING, narrow], [0, 0])).used == (3, 3)


async def test_more_than_a_limit_never_has_room(store: Store) -> None:
    assert (await store.take([SLIDING], [11])).wait_s == math.inf


async def test_units_that_were_given_back_can_be_taken_again(store: Store) -> None:
    taken = await store.take([SLIDING], [10])
    await store.settle(SLIDING, taken.slices[0], -4)
    assert (await store.take([SLIDING], [4])).used == (10,)


async def test_a_correction_may_go_beyond_the_limit(store: Store) -> None:
    taken = await store.take([SLIDING], [10])
    await store.settle(SLIDING, taken.slices[0], 5)
    assert (await store.take([SLIDING], [0])).used == (15,)


async def test_a_value_that_was_set_by_comparison_can_be_read_replaced_and_deleted(store: Store) -> None:
    await store.compare_and_set("key", None, b"one", 60)
    assert await store.get("key") == b"one"
    await store.set("key", b"two", 60)
    assert await store.compare_and_set("key", b"two", b"three", 60)
    await store.delete("key")
    assert await store.compare_and_set("key", None, b"four", 60)


@pytest.mark.parametrize("ttl_s", [0, -1.0])
async def test_without_time_nothing_is_kept(store: Store, ttl_s: float) -> None:
    await store.set("key", b"one", 60)
    await store.set("key", b"two", ttl_s)
    assert await store.get("key") is None
    await store.set("key", b"one", 60)
    assert await store.compare_and_set("key", b"one", b"two", ttl_s)
    assert await store.get("key") is None


@pytest.mark.parametrize(
    "key", ["", " a\n\x00b", "ключ \U0001f511", "\ud800", "\\ud800", "x" * 5000, "glassway:v:*"], ids=repr
)
async def test_any_text_is_a_key(store: Store, key: str) -> None:
    await store.set(key, b"one", 60)
    assert (await store.take([Window(key, 5, 60.0)], [5])).granted
    assert await store.get(key) == b"one"
    assert await store.get(key + "?") is None


async def test_a_fixed_window_ends_all_at_once(store: Store) -> None:
    fixed = Window("fixed", 10, 3600.0, fixed=True)
    first = await store.take([fixed], [4])
    second = await store.take([fixed], [6])
    assert first.slices == second.slices
    refused = await store.take([fixed], [1])
    assert 0 < refused.wait_s <= 3600
    await store.settle(fixed, first.slices[0], -10)
    assert (await store.take([fixed], [0])).used == (0,)


async def test_what_was_given_back_is_never_less_than_nothing(store: Store) -> None:
    taken = await store.take([SLIDING], [3])
    await store.settle(SLIDING, taken.slices[0], -50)
    assert (await store.take([SLIDING], [0])).used == (0,)
    assert (await store.take([SLIDING], [10])).granted


async def test_a_limit_may_change_and_what_was_taken_counts_on(store: Store) -> None:
    await store.take([Window("w", 10, 60.0)], [10])
    assert (await store.take([Window("w", 20, 120.0, slices=10)], [10])).used == (20,)
    assert not (await store.take([Window("w", 5, 60.0)], [1])).granted


async def test_units_are_exact_up_to_two_to_the_fifty_three(store: Store) -> None:
    most = 2**53 - 1
    large = Window("large", most, 60.0)
    assert (await store.take([large], [most - 1])).used == (most - 1,)
    assert (await store.take([large], [1])).used == (most,)
    assert not (await store.take([large], [1])).granted


async def test_questions_that_make_no_sense_are_refused(store: Store) -> None:
    for windows, amounts in (
        ([SLIDING, SLIDING], [1, 1]),
        ([SLIDING], [-1]),
        ([SLIDING], [1, 2]),
        ([Window("w", 2**53, 1.0)], [1]),
    ):
        with pytest.raises(ConfigError):
            await store.take(windows, amounts)


async def test_what_is_taken_by_many_at_once_is_counted_once_each(store: Store) -> None:
    narrow = Window("narrow", 25, 60.0)
    answers = await asyncio.gather(*(store.take([narrow], [1]) for _ in range(60)))
    assert sum(each.granted for each in answers) == 25


async def test_one_of_many_replaces_a_value(store: Store) -> None:
    answers = await asyncio.gather(*(store.compare_and_set("key", None, str(n).encode(), 60) for n in range(60)))
    assert sum(answers) == 1


async def test_who_is_cancelled_took_nothing(store: Store) -> None:
    async def take() -> None:
        await store.take([SLIDING], [10])
        await asyncio.sleep(0)  # a store that never suspends is not cancelled in the middle

    task = asyncio.create_task(take())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await store.aclose()  # waits for what is given back
    used = (await store.take([SLIDING], [0])).used
    assert used == ((10,) if store.immediate else (0,))


def test_a_store_that_says_it_never_waits_and_cannot_is_refused() -> None:
    class Hasty(MemoryStore):
        take_now = None  # type: ignore[assignment]  # it has none

    with pytest.raises(ConfigError, match="Hasty: expected take_now, found none"):
        immediate(Hasty())
    assert immediate(DiskStore("unused")) is None
