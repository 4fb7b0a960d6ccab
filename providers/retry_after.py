"""When a vendor wants to be asked again, read from the headers of its error."""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_TRY_AGAIN = re.compile(
    r"(?:try again|retry)(?: in| after)? ((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+\b|\d+(?:\.\d+)?(?= seconds?\b))",
    re.IGNORECASE,
)


def retry_after_s(headers: Mapping[str, str], *, exhausted: bool = False) -> float | None:
    """Seconds to wait, not below 0; None if the vendor does not say. `headers` have lower-case names.

    `retry-after-ms` and `retry-after` (seconds or a date) are read first; for an `exhausted` limit also the reset
    times of OpenAI's `x-ratelimit-*` headers: the longest among the limits that have nothing left, or are silent on it.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after,
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    told = (_number(headers.get("retry-after-ms"), 0.001), _number(headers.get("retry-after")), _date(headers))
    present = [seconds for seconds in told if seconds is not None]
    if present:
        return max(present)
    return _reset_s(headers) if exhausted else None


def seconds_in_message(message: str) -> float | None:
    """The wait that a message names: "Please try again in 9.8s", "Please retry after 7 seconds"."""
    found = _TRY_AGAIN.search(message)
    return _duration(found.group(1)) if found else None


def _number(text: str | None, unit_s: float = 1.0) -> float | None:
    try:
        seconds = float(text) * unit_s if text else None
    except ValueError:
        return None
    return max(0.0, seconds) if seconds is not None and math.isfinite(seconds) else None


def _date(headers: Mapping[str, str]) -> float | None:
    """A date, measured from the answer's own `date` where it has one: clocks differ."""
    if (then := _epoch_s(headers.get("retry-after"))) is None:
        return None
    now = _epoch_s(headers.get("date"))
    return max(0.0, then - (time.time() if now is None else now))


def _epoch_s(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError, OverflowError):
        return None


def _reset_s(headers: Mapping[str, str]) -> float | None:
    waits = [
        wait
        for name, value in headers.items()
        if name.startswith("x-ratelimit-reset-")
        and headers.get(f"x-ratelimit-remaining-{name.removeprefix('x-ratelimit-reset-')}", "0") in ("0", "")
        and (wait := _duration(value)) is not None
    ]
    return max(waits, default=None)


def _duration(text: str) -> float | None:
    text = text.strip()
    if _DURATION.fullmatch(text):
        return sum(float(amount) * _UNITS_S[unit] for amount, unit in _PIECE.findall(text))
    return _number(text)
