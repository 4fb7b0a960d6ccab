"""The Makefile tells people what it can do, and what it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with nothing but what an environment is made from, under a name of its own."""
    folder = tmp_path / "some folder"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_make_alone_says_what_there_is(fresh):
    out = _make(fresh).stdout
    assert all(f"make {target}" in out for target in ("demo", "test", "check", "docs", "bench", "clean"))


def test_an_old_python_is_named_with_the_way_out(fresh):
    old = fresh / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    ran = _make(fresh, "demo", "PYTHON=./python3.9")
    assert ran.returncode != 0
    assert "Glassway needs Python 3.11 or newer, and ./python3.9 is Python 3.9.1" in ran.stderr
    assert "make PYTHON=" in ran.stderr
    assert not (fresh / ".venv").exists()


def test_the_environment_is_made_again_when_the_project_changes(fresh):
    for stamp in (".made", ".for-cli", ".for-dev"):
        path = fresh / ".venv" / stamp
        path.parent.mkdir(exist_ok=True)
        path.touch()
    os.utime(fresh / "pyproject.toml", (0, 0))
    assert "pip install" not in _make(fresh, "-n", "demo").stdout
    (fresh / "pyproject.toml").touch()
    os.utime(fresh / ".venv" / ".for-cli", (1, 1))
    assert "pip install" in _make(fresh, "-n", "demo").stdout


def test_continuous_integration_calls_the_makefile_alone():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make check", "make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
