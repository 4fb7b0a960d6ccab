"""Real servers, started once for all tests that ask for them."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def llamacpp_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp's own server with a tiny model; its key is `sk-local`. The base URL, without `/v1`."""
    with _llamacpp(tmp_path_factory.mktemp("llamacpp")) as url:
        yield url


@pytest.fixture(scope="session")
def llamacpp_embeddings_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, for embeddings."""
    with _llamacpp(tmp_path_factory.mktemp("llamacpp-embeddings"), "embeddings") as url:
        yield url


@contextmanager
def _llamacpp(folder: Path, serves: str = "chats") -> Iterator[str]:
    for needed in ("xllamacpp", "gguf", "numpy"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed: pip install 'glassway[dev]'")
    model, port, log = folder / "tiny.gguf", free_port(), folder / "server.log"
    subprocess.run([sys.executable, HERE / "tiny_model.py", model], check=True)
    command: list[str | Path] = [sys.executable, HERE / "serve_llama.py", model, str(port), "sk-local", serves]
    with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as server:
        try:
            assert server.stdout is not None
            assert b"listening" in server.stdout.readline(), log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
