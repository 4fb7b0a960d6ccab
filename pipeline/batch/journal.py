"""The output file of a batch: what is in it is done, whatever happened to the process that wrote it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from ..errors import ConfigError
from .lines import BatchRequest, BatchResult

_PRIVATE = 0o600
"""Results hold answers: they are their owner's."""


class Journal:
    """Results as JSON lines, each written whole before the next. One process at a time writes to a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: IO[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def open(self, requests: Sequence[BatchRequest], *, resume: bool) -> frozenset[str]:
        """The ids whose answers are there already. Failures, answers to requests that have changed, and a line that a killed process
        left unfinished are taken out: those are asked again.

        Raises `ConfigError` if the file is in use, holds results of other requests, or has results and `resume` is off.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._locked()
        try:
            kept = self._kept(requests, resume=resume)
            self._replace([line for _, line in kept])
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            self.close()
            raise
        return frozenset(custom_id for custom_id, _ in kept)

    def write(self, result: BatchResult) -> None:
        """Append one line. It has to be open."""
        if self._file is None:
            raise ValueError("The journal is closed.")
        line = result.to_line()
        while line:
            line = line[self._file.write(line) or 0 :]

    def sort(self, requests: Sequence[BatchRequest]) -> None:
        """Put the lines into the order of their requests."""
        places = {request.custom_id: place for place, request in enumerate(requests)}
        lines = [(places[data["custom_id"]], line) for data, line in self._read()]
        self._replace([line for _, line in sorted(lines)])

    def close(self) -> None:
        """Let others write. May be called more than once."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _locked(self) -> IO[bytes]:
        """A file beside it: the file itself is replaced."""
        lock = self.path.with_name(f".{self.path.name}.lock").open("ab")
        try:
            import fcntl
        except ImportError:  # Windows
            return lock
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ConfigError(
                f"{self.path}: another batch is writing to it. Wait for it, or give another output."
            ) from None
        return lock

    def _kept(self, requests: Sequence[BatchRequest], *, resume: bool) -> list[tuple[str, bytes]]:
        if not self.path.exists():
            return []
        found = self._read()
        if found and not resume:
            raise ConfigError(f"{self.path}: there are results in it already. Resume, or give another output.")
        digests = {request.custom_id: request.digest for request in requests}
        strangers = [data["custom_id"] for data, _ in found if data["custom_id"] not in digests]
        if strangers:
            raise ConfigError(
                f"{self.path}: has results that belong to none of these requests ({strangers[0]!r}"
                f"{f' and {len(strangers) - 1} more' if len(strangers) > 1 else ''}). Give another output."
            )
        kept = {
            data["custom_id"]: line
            for data, line in found
            if _is_answer(data) and _digest(data) == digests[data["custom_id"]]
        }
        return list(kept.items())

    def _read(self) -> list[tuple[Mapping[str, Any], bytes]]:
        found: list[tuple[Mapping[str, Any], bytes]] = []
        lines = self.path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                data = from_json(line)
            except ValueError:
                if number == len(lines) and not line.endswith(b"\n"):
                    break  # its writer was killed
                raise ConfigError(f"{self.path}, line {number}: expected JSON. Is it a batch's output?") from None
            if not isinstance(data, dict) or not isinstance(data.get("custom_id"), str):
                raise ConfigError(
                    f"{self.path}, line {number}: expected a result with a custom_id. Is it a batch's output?"
                )
            found.append((data, line if line.endswith(b"\n") else line + b"\n"))
        return found

    def _replace(self, lines: Sequence[bytes]) -> None:
        """At once or not at all."""
        beside = self.path.with_name(f".{self.path.name}.tmp")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def _is_answer(data: Mapping[str, Any]) -> bool:
    return data.get("error") is None and isinstance(data.get("response"), dict)


def _digest(data: Mapping[str, Any]) -> object:
    beside = data.get("glassway")
    return beside.get("request") if isinstance(beside, dict) else None
