"""What every store does, and what each one bounds or refuses."""

from __future__ import annotations

import math
import pickle
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from glassway.pipeline.errors import ConfigError
from glassway.stores import DiskStore, MemoryStore, Store, Window, make_store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "state")
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


@pytest.mark.parametrize("place", ["", "disk", "disk:", "redis://user:secret@host", "memory:1"])
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
