"""Real servers that a test starts for itself: a Redis and a PostgreSQL, on loopback, in a folder of the test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_READY_S = 20.0


def program(name: str) -> str:
    """Where it is; skips the test, by name, where it is not. (`.ci/run` lets no test be skipped.)"""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"{name} is not installed; on Debian, as root, `make test` installs it")
    return found


def free_port() -> int:
    """A port that nobody listens on in this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Raises `TimeoutError` if it is not ready in time."""
    until = time.monotonic() + _READY_S
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} was not ready within {_READY_S:g} s")
        time.sleep(0.01)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class RedisServer:
    """A redis-server. What it knows survives `kill` and `restart` (an append-only file, written at every change), and ends with `stop`."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self._folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._program = program("redis-server")
        self.port = free_port()

    @property
    def url(self) -> str:
        """For `make_store`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]  # fmt: skip
        log = (self._folder / "redis.log").open("ab")
        self._process = subprocess.Popen([self._program, *arguments, *self._settings], stdout=log, stderr=log)
        log.close()
        wait_until(self._ready, "redis-server")
        return self

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start it again, at the same place, with what it knew."""
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def _ready(self) -> bool:
        """It has read its file, and not only opened its port."""
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PostgresServer:
    """A PostgreSQL with an empty database `glassway`. It refuses to run as root, and then runs as the user `nobody`.

    `folder` is for its log. Its data lie in a folder of their own: pytest's are closed to other users, also again whenever another
    pytest starts meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._initdb, self._postgres = program("initdb"), program("postgres")
        self._home = Path(tempfile.mkdtemp(prefix="glassway-postgres-"))
        self._data = self._home / "data"
        self.port = free_port()

    @property
    def url(self) -> str:
        """For the ledger."""
        return f"postgresql://glassway@127.0.0.1:{self.port}/postgres"

    def start(self) -> Self:
        """Make its files where there are none, start it, and wait until it answers."""
        data = self._data
        if not data.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            if (user := _user()) is not None:
                shutil.chown(self._home, user)
            self._run([self._initdb, "-D", str(data), "-U", "glassway", "-A", "trust", "-E", "UTF8", "--no-sync"])
        arguments = ["-D", str(data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}", "-c", "fsync=off"]  # fmt: skip
        log = (self._folder / "postgres.log").open("ab")
        self._process = subprocess.Popen([self._postgres, *arguments], stdout=log, stderr=log, user=_user(), cwd=data)
        log.close()
        wait_until(self._ready, "postgres")
        return self

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it in good order, whoever is connected."""
        self._end(signal.SIGINT)

    def restart(self) -> None:
        """Start it again, at the same place."""
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def _ready(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True, user=_user(), cwd=self._home, timeout=60)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._home)


def _user() -> str | None:
    return pwd.getpwnam("nobody").pw_name if os.getuid() == 0 else None
