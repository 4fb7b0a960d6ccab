"""Write what is made of the registry of names, or check that it is up to date: `python dashboards/build.py [--check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from glassway.dashboards.overview import ROWS, overview
from glassway.dashboards.readme import with_panels

HERE = Path(__file__).parent


def generated() -> dict[Path, str]:
    """The files that this folder's code writes, with what belongs into them."""
    readme = HERE / "README.md"
    return {HERE / "overview.json": overview(), readme: with_panels(readme.read_text("utf-8"), ROWS)}


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 if `--check` finds a file that is not what the code says."""
    parser = argparse.ArgumentParser("build.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something is not up to date")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text("utf-8") != text]
    if not check:
        for path in stale:
            path.write_text(generated()[path], "utf-8")
    for path in stale:
        sys.stdout.write(f"{path.name}: {'not up to date; run `python dashboards/build.py`' if check else 'written'}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
