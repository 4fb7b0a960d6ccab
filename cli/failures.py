"""Errors as one line, and exit codes."""

from __future__ import annotations

import sys
from enum import IntEnum

from ..pipeline.errors import ConfigError, GlasswayError, MissingExtraError, PlanError


class ExitCode(IntEnum):
    """What a command ends with."""

    DONE = 0
    FAILED = 1
    """A call or a check failed."""
    USAGE = 2
    """The command line or the configuration is wrong."""


def report(error: Exception) -> ExitCode | None:
    """Write what went wrong to standard error; returns the exit code, or None for an error that is not ours."""
    if isinstance(error, ModuleNotFoundError) and error.name in ("rich", "yaml"):
        error = MissingExtraError("The command line", "cli")
    if not isinstance(error, GlasswayError):
        return None
    _write(f"error: {' '.join(error.message.split())}")
    return ExitCode.USAGE if isinstance(error, (ConfigError, PlanError)) else ExitCode.FAILED


def _write(line: str) -> None:
    """In red, on one line however long: terminals wrap, and scripts read lines."""
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        sys.stderr.write(f"{line}\n")
        return
    Console(stderr=True, highlight=False, markup=False).print(line, style="red", soft_wrap=True)
