"""Cassettes on disk: JSON lines in a file, or a JSON file an exchange in a folder. Appended to whole or not at all, by any number of processes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from ...pipeline.errors import ConfigError
from .entry import MARK, Entry, entry_of
from .plain import Plain

logger = logging.getLogger("glassway")

_BEGINS = f'{{"{MARK}"'.encode()

_PRIVATE = 0o600
"""A cassette holds prompts and answers: it is its owner's."""


class Sheet(NamedTuple):
    """One exchange as bytes, and the name of its file where it gets one of its own."""

    name: str
    text: bytes


class Cassette(Protocol):
    """Where exchanges are kept."""

    def sheet(self, data: Plain) -> Sheet:
        """An exchange as it will be written. Raises `ValueError` for what JSON cannot hold."""
        ...

    def append(self, sheets: Sequence[Sheet]) -> int:
        """Write exchanges, each whole; how many there was room for."""
        ...

    def read(self) -> list[Entry]:
        """All exchanges in their order. Raises `ConfigError` for a cassette that is not there or cannot be read."""
        ...


def cassette_at(path: str | os.PathLike[str], *, max_bytes: int = 1 << 62, max_calls: int = 1 << 62) -> Cassette:
    """A file of JSON lines where the name has a suffix; else a folder of JSON files."""
    place = Path(path)
    folder = place.is_dir() or (not place.suffix and not place.is_file())
    return CassetteFolder(place, max_bytes, max_calls) if folder else CassetteFile(place, max_bytes, max_calls)


class CassetteFile:
    """JSON lines: an exchange a line."""

    def __init__(self, path: Path, max_bytes: int, max_calls: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_calls = max_calls
        self._known = (0, 0)  # bytes that were looked at, and the lines in them

    def sheet(self, data: Plain) -> Sheet:
        """A line."""
        return Sheet("", _text(data).encode() + b"\n")

    def append(self, sheets: Sequence[Sheet]) -> int:
        """One write under a lock; a line that a killed process left unfinished is ended first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE)
        try:
            with _locked(descriptor):
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                room = self._max_calls - self._lines(descriptor, size)
                fitting = [sheet.text for sheet in _fitting(sheets, self._max_bytes - size, room)]
                if fitting:
                    _write(descriptor, size, b"".join([b"\n", *fitting] if torn else fitting))
                return len(fitting)
        finally:
            os.close(descriptor)

    def _lines(self, descriptor: int, size: int) -> int:
        """How many lines there are; other processes' since the last look are counted too."""
        looked, lines = self._known if self._known[0] <= size else (0, 0)
        while looked < size and (piece := os.pread(descriptor, min(1 << 20, size - looked), looked)):
            looked += len(piece)
            lines += piece.count(b"\n")
        self._known = (looked, lines)
        return lines

    def read(self) -> list[Entry]:
        """A line that a killed process left unfinished is no exchange."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except OSError as error:
            raise _missing(self._path, error) from None
        entries: list[Entry] = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    data = json.loads(line)
                except ValueError:
                    if _is_torn(line):
                        logger.warning(
                            "%s, line %d is not whole: its writer was killed. It is left out.", self._path, number
                        )
                        continue
                    raise ConfigError(f"{self._path}, line {number}: expected JSON, found something else.") from None
                entries.append(entry_of(len(entries) + 1, data, f"{self._path}, line {number}"))
        return entries


class CassetteFolder:
    """A folder: an exchange a file, indented, named by the time and the call."""

    def __init__(self, path: Path, max_bytes: int, max_calls: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_calls = max_calls

    def sheet(self, data: Plain) -> Sheet:
        """A file."""
        moment = data["recorded_at"].replace(":", "").replace("+0000", "Z")
        return Sheet(f"{moment}-{data['call']}-{data['exchange']}", _text(data, indent=2).encode() + b"\n")

    def append(self, sheets: Sequence[Sheet]) -> int:
        """Written beside, then moved to their places, under a lock of the folder."""
        self._path.mkdir(parents=True, exist_ok=True)
        with _alone_in(self._path):
            with os.scandir(self._path) as found:
                sizes = [file.stat().st_size for file in found if file.name.endswith(".json")]
            fitting = _fitting(sheets, self._max_bytes - sum(sizes), self._max_calls - len(sizes))
            for name, text in fitting:
                beside = self._path / f".{name}.{os.getpid()}.tmp"
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(text)
                beside.replace(self._path / f"{name}.json")
        return len(fitting)

    def read(self) -> list[Entry]:
        """In the order of their names, which is that of time."""
        if not self._path.is_dir():
            raise _missing(self._path, None)
        entries: list[Entry] = []
        for number, path in enumerate(sorted(self._path.glob("*.json")), 1):
            try:
                data = json.loads(path.read_bytes())
            except ValueError:
                raise ConfigError(f"{path}: expected JSON, found something else.") from None
            entries.append(entry_of(number, data, str(path)))
        return entries


def _fitting(sheets: Sequence[Sheet], max_bytes: int, max_calls: int) -> list[Sheet]:
    """The first ones that there is room for."""
    fitting: list[Sheet] = []
    for sheet in sheets:
        max_bytes -= len(sheet.text)
        if max_bytes < 0 or len(fitting) >= max_calls:
            break
        fitting.append(sheet)
    return fitting


def _text(data: Plain, indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)


def _is_torn(line: bytes) -> bool:
    """Whether it begins like an exchange: then its end is missing."""
    return line.startswith(_BEGINS) or _BEGINS.startswith(line)


def _write(descriptor: int, size: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        os.ftruncate(descriptor, size)  # a full disk leaves no half of a line
        raise


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Alone with the file, among all processes; where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows: one write in append mode is all there is
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """As `_locked`, with a folder."""
    if os.name == "nt":  # there, folders cannot be opened
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with _locked(descriptor):
            yield
    finally:
        os.close(descriptor)


def _missing(path: Path, error: OSError | None) -> ConfigError:
    why = f" ({error.strerror})" if error is not None and error.strerror else ""
    return ConfigError(
        f"{path}: expected a cassette, found none{why}. Record one first: Record({str(path)!r}), or Replay(..., mode='record_missing')."
    )
