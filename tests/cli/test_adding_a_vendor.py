"""The page on adding a vendor shows what is there, and its programs run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding-a-vendor.md").read_text(encoding="utf-8")

SHOWN = re.findall(r"<!-- in: (.+?) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_row_is_the_catalogues() -> None:
    [(file, block)] = SHOWN
    assert block in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("program", PROGRAMS, ids=["codec", "function"])
def test_its_programs_print_what_they_say(program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == re.findall(r"print\(.*\)  # (.*\n)", program)[0]


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:providers|tests|pipeline|docs)/[\w/.-]+\.\w+)`", PAGE))
    assert len(named) >= 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
