"""What the page of capabilities promises has a page that explains it and a test that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "parity.md"
NOT_YET = "Not there yet"


def rows() -> list[tuple[str, list[str]]]:
    """(heading, cells) of each capability that is claimed."""
    found, heading = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| ---", "| capability")) and heading != NOT_YET:
            found.append((heading, [cell.strip() for cell in line.strip().strip("|").split(" | ")]))
    return found


@pytest.mark.parametrize(
    ("heading", "cells"), rows(), ids=lambda value: value[0][:60] if isinstance(value, list) else value
)
def test_a_capability_has_its_page_and_its_test(heading: str, cells: list[str]) -> None:
    assert len(cells) == 4, cells
    pages, tests = re.findall(r"\]\(([^)]+)\)", cells[2]), re.findall(r"`([^`]+)`", cells[3])
    assert pages, f"{heading}: {cells[0]} has no page"
    assert tests, f"{heading}: {cells[0]} has no test"
    assert [page for page in pages if not (PAGE.parent / page).resolve().exists()] == []
    assert [test for test in tests if not (ROOT / test).exists()] == []


def test_there_is_no_capability_without_a_row() -> None:
    assert len(rows()) >= 58
