"""The tables on the pages are what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from glassway.providers.catalogue import ROWS

ROOT = Path(__file__).resolve().parents[2]
TRANSLATION = ROOT / "docs" / "translation.md"
VENDORS = ROOT / "docs" / "vendors" / "README.md"


def _check(*pages: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "docs" / "tables.py", "--check", *pages]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_tables_are_up_to_date() -> None:
    ran = _check()
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("page", "shown", "instead"),
    [(TRANSLATION, "| `seed` | kept |", "| `seed` | **dropped** |"), (VENDORS, "`GROQ_API_KEY`", "`GROQ_KEY`")],
    ids=["translation", "vendors"],
)
def test_a_table_that_says_something_else_is_found(tmp_path: Path, page: Path, shown: str, instead: str) -> None:
    text = page.read_text(encoding="utf-8")
    assert shown in text
    copy = tmp_path / page.name
    copy.write_text(text.replace(shown, instead, 1), encoding="utf-8")
    ran = _check(copy)
    assert ran.returncode == 1
    assert "make docs" in ran.stderr


def test_every_vendor_is_on_the_page() -> None:
    text = VENDORS.read_text(encoding="utf-8")
    assert [row.name for row in ROWS] == re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("page", [TRANSLATION, *sorted(VENDORS.parent.glob("*.md"))], ids=lambda page: page.name)
def test_links_to_other_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
