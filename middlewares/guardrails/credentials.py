"""Keys and tokens that can be told by their form, as detectors: what they look like is said in `pipeline/secrets.py`."""

from __future__ import annotations

import re

from ...pipeline.secrets import ASSIGNED, KEY_TYPE, TOKENS, TRACE, looks_random
from .pii import ALNUM
from .span import Detector


def _looks_random(match: re.Match[str]) -> tuple[int, int] | None:
    """The value alone: the name before it is no secret."""
    return match.span("assigned_secret") if looks_random(match["assigned_secret"]) else None


DETECTORS: tuple[Detector, ...] = (
    Detector(
        "private_key",
        re.compile(rf"-----BEGIN {KEY_TYPE}(?:[A-Za-z0-9+/=\s\\:,]|-(?!----))*(?:-----END {KEY_TYPE})?"),
        re.compile(r"(?:-{1,5}|-----B[A-Z0-9 ]{0,60}-{0,5})\Z"),
        margin=80,
        shortest=27,
        ends=ALNUM | set(" -"),
        signed=True,
        trace=TRACE,
    ),
    Detector(
        "api_key",
        re.compile(
            r"(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<{label}>{pattern})" for label, pattern in TOKENS.items()) + ")"
        ),
        re.compile(r"[A-Za-z0-9_.-]{1,2048}+\Z"),
        shortest=14,
        ends=ALNUM | set("_.-"),
        signed=True,
        trace=TRACE,
    ),
    Detector(
        "assigned_secret",
        re.compile(ASSIGNED),
        re.compile(
            r"[A-Za-z]{1,12}+[\"']?+\s{0,3}+(?:(?::=?+|=>?+)\s{0,3}+[\"']?+[A-Za-z0-9_+/.~-]{0,512}+={0,2}+)?+\Z",
        ),
        shortest=20,
        signed=True,
        trace=TRACE,
        validate=_looks_random,
    ),
)
