"""What the README shows is what the repository gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def _check(*pages: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "docs" / "render.py", "--check", *pages]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_readme_is_up_to_date():
    ran = _check(ROOT / "README.md")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("shown", "instead"),
    [("#2 503 overloaded", "#2 500 server_error"), ("Retry(attempts=3)", "Retry(tries=3)"), ("Guardrails", "Guards")],
)
def test_a_page_that_shows_something_else_is_found(tmp_path, shown, instead):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert shown in text
    page = tmp_path / "README.md"
    page.write_text(text.replace(shown, instead), encoding="utf-8")
    ran = _check(page)
    assert ran.returncode == 1
    assert "make docs" in ran.stderr


def test_other_times_ids_and_bars_are_no_difference(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    page = tmp_path / "README.md"
    page.write_text(re.sub(r"\d+\.\d+ ms", "123.4 ms", text.replace("██", "█")), encoding="utf-8")
    assert _check(page).returncode == 0
