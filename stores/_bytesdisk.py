"""diskcache without pickle: keys are text, values are bytes, and anything else is refused in both directions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from diskcache import Cache, Disk  # type: ignore[import-untyped]  # it has no types
from diskcache.core import EVICTION_POLICY, MODE_BINARY, MODE_RAW  # type: ignore[import-untyped]

_FILE = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
"""What `Disk.filename` makes. A row that names another file was not written by us: it might lead out of the directory."""


class BytesDisk(Disk):  # type: ignore[misc]  # diskcache has no types
    """Serialises nothing. Raises `ValueError` for whatever is not plain bytes under a text key."""

    def put(self, key: object) -> tuple[Any, bool]:
        """The database's form of a key."""
        if not isinstance(key, str):
            raise ValueError(f"A key is text; found {type(key).__name__}.")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        """The key of a row."""
        if not raw or not isinstance(key, str):
            raise ValueError(
                "A row of the store has a key that is not text. It was not written by this store: delete the directory."
            )
        return key

    def store(self, value: object, read: bool, key: Any = None) -> tuple[int, int, str | None, Any]:
        """The columns for a value."""
        if read or type(value) is not bytes:
            raise ValueError(f"A value is bytes; found {type(value).__name__}.")
        columns: tuple[int, int, str | None, Any] = super().store(value, False, key)
        return columns

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:
        """The value of a row."""
        if read or mode not in (MODE_RAW, MODE_BINARY):
            raise ValueError(
                "A row of the store is not plain bytes. It was not written by this store: delete the directory."
            )
        if mode == MODE_BINARY:
            _ours(filename)
        found = super().fetch(mode, filename, value, False)
        if not isinstance(found, bytes):
            raise ValueError(
                "A row of the store is not plain bytes. It was not written by this store: delete the directory."
            )
        return found

    def remove(self, file_path: str) -> None:
        """Remove a value's file."""
        _ours(file_path)
        super().remove(file_path)


_UNTAGGED_FIRST = "glassway-untagged-least-recently-stored"


def open_cache(directory: Path, max_bytes: int, busy_s: float) -> Cache:
    """diskcache on `directory`, for bytes only. To make room it drops what was stored longest ago, and nothing that has a tag."""
    policy = {
        "init": "CREATE INDEX IF NOT EXISTS Cache_untagged_store_time ON Cache (store_time) WHERE tag IS NULL",
        "get": None,
        "cull": "SELECT {fields} FROM Cache WHERE tag IS NULL ORDER BY store_time LIMIT ?",
    }
    EVICTION_POLICY.setdefault(_UNTAGGED_FIRST, policy)
    return Cache(str(directory), timeout=busy_s, disk=BytesDisk, size_limit=max_bytes, eviction_policy=_UNTAGGED_FIRST)


def _ours(filename: str | None) -> None:
    if filename is None or not _FILE.fullmatch(filename):
        raise ValueError("A row of the store names a file that this store did not make. Delete the directory.")
