"""Facts about this installation."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The version of the installed distribution; `0` from a bare checkout."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("glassway")
    except PackageNotFoundError:
        return "0"
