"""A cassette a test: where it lies, and what becomes of a test that has none."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from ..middlewares.cassette import Replay
from ..pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Cassettes = Literal["none", "once", "missing", "all"]
"""none: strictly play, no network; once: record tests that have no cassette; missing: record further requests too; all: record anew."""

CHOICES: tuple[Cassettes, ...] = get_args(Cassettes)
_LONGEST = 120
"""Characters of a file's name, less its suffix: file systems take 255 bytes."""


def path_of(test: Path, name: str) -> Path:
    """`cassettes/<module>/<test>.jsonl` beside the test's file; classes and parameters are part of the name."""
    safe = re.sub(r"[^\w.-]+", "_", name).strip("_.")
    if len(safe) > _LONGEST or safe != name:
        # Names that differ in what a file's name cannot say stay apart.
        safe = f"{safe[:_LONGEST]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
    return test.parent / "cassettes" / test.stem / f"{safe}.jsonl"


def stage_for(path: Path, mode: Cassettes, test_id: str, settings: Mapping[str, Any]) -> Replay:
    """The stage that plays or records the test's cassette. Fails the test if there is none to play; removes the old one in mode `all`."""
    if mode == "all":
        path.unlink(missing_ok=True)
    if mode == "none" and not path.exists():
        pytest.fail(
            f"No cassette for this test: {path}. Record it, with keys and a network: pytest '{test_id}' --cassettes=once",
            pytrace=False,
        )
    strict = mode == "none" or (mode == "once" and path.exists())
    try:
        return Replay(path, mode="strict" if strict else "record_missing", **{"repeat": "raise", **settings})
    except (ConfigError, TypeError) as error:
        pytest.fail(f"@pytest.mark.cassette: {error}", pytrace=False)
