"""The command line: `glassway demo | chat | explain | check | models | prices | costs | replay`."""

from __future__ import annotations

import sys

_NEEDED = frozenset({"typer", "rich", "yaml"})


def main() -> int:
    """Run the command that the arguments name; returns the exit code.

    0: done. 1: a call failed. 2: usage or configuration. 130: interrupted.
    """
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        from ..pipeline.errors import MissingExtraError

        sys.stderr.write(f"error: {MissingExtraError('The command line', 'cli')}\n")
        return 2
    return run(sys.argv[1:])
