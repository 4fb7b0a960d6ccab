"""Fills in what a page shows of the repository itself: real output, and files that are run by the tests.

    <!-- output: glassway demo --fast --call fallback -->   what the command prints, 100 columns wide, without colour;
                                                            or of an example: python examples/custom_stack.py
    <!-- file: examples/custom_stack.py -->                 the file as it is

Each block ends at `<!-- /output -->` or `<!-- /file -->`. `--check` writes nothing and fails if a block is not up to
date; of output only the shape counts, for times and ids differ from run to run.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100

_BLOCK = re.compile(
    r"(?P<open><!-- (?P<kind>output|file): (?P<what>.+?) -->\n)(?P<body>.*?)(?P<close><!-- /(?P=kind) -->)", re.DOTALL
)
_BARS = re.compile(r"[█─▒·▏]+")
_IDS = re.compile(r"\b(?:req_)?[0-9A-Za-z]{16,}\b")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


def main() -> int:
    """Render or check the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pages", nargs="*", type=Path, default=_pages(), help="all that have such blocks, if none is named"
    )
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    stale = [page for page in asked.pages if not _up_to_date(page, write=not asked.check)]
    for page in stale if asked.check else ():
        sys.stderr.write(f"{page}: its blocks are not what the repository gives. Run: make docs\n")
    return 1 if asked.check and stale else 0


def _pages() -> list[Path]:
    """All that have a block."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if _BLOCK.search(page.read_text(encoding="utf-8"))]


def rendered(text: str) -> str:
    """The page with all its blocks filled in. Raises `CalledProcessError` for a command that fails."""
    return _BLOCK.sub(lambda block: f"{block['open']}{_body(block['kind'], block['what'])}{block['close']}", text)


def shape(text: str) -> str:
    """What stays the same from run to run: longer numbers also break lines elsewhere."""
    return " ".join(_NUMBERS.sub("0", _IDS.sub("ID", _BARS.sub(" ", text))).split())


def _up_to_date(page: Path, *, write: bool) -> bool:
    found = page.read_text(encoding="utf-8")
    wanted = rendered(found)
    if write:
        page.write_text(wanted, encoding="utf-8")
    return shape(found) == shape(wanted)


def _body(kind: str, what: str) -> str:
    if kind == "file":
        return f"```python\n{(ROOT / what).read_text(encoding='utf-8').rstrip()}\n```\n"
    return f"```text\n{_output(what)}\n```\n"


def _output(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program not in ("glassway", "python"):
        raise ValueError(f"expected a command of glassway, or python and an example, found {program!r}")
    module = ["-m", "glassway"] if program == "glassway" else []
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", "TERM": "dumb"}
    ran = subprocess.run(  # noqa: S603 - a command of ours, written in a page of ours
        [sys.executable, *module, *arguments],
        env=environment,
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    return "\n".join(line.rstrip() for line in ran.stdout.strip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
