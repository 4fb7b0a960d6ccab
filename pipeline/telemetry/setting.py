"""Facts about this installation, and about its failures."""

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


def told(error: BaseException) -> str:
    """Type and place of an exception, for log lines: its own text may hold content or secrets."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    return type(error).__name__ + where
