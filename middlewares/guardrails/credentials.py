"""Keys and tokens that can be told by their form. Source for the prefixes: the vendors' documentation, as collected by
https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml
"""

from __future__ import annotations

import re
from collections import Counter
from math import log2

from .pii import ALNUM
from .span import Detector

# Repeats are bounded so that a long run of letters and digits is neither held back whole nor looked at again and again.
_TOKENS = {
    "stripe_key": r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,512}",
    "api_key": r"(?:sk|gsk|xai|pplx|nvapi)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,512}",
    "aws_key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    "github_token": r"(?:gh[pousr]_[A-Za-z0-9]{36,512}|github_pat_[A-Za-z0-9_]{22,512})",
    "gitlab_token": r"glpat-[A-Za-z0-9_-]{20,512}",
    "slack_token": r"xox[abeoprs]-[A-Za-z0-9-]{10,512}",
    "google_key": r"AIza[A-Za-z0-9_-]{35}",
    "huggingface_token": r"hf_[A-Za-z0-9]{30,512}",
    "package_token": r"(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,512})",
    "sendgrid_key": r"SG\.[A-Za-z0-9_-]{16,512}\.[A-Za-z0-9_-]{16,512}",
    "jwt": r"eyJ[A-Za-z0-9_-]{8,1024}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,1024}",
}

_TRACE = re.compile(r"[-_.:=>AJ](?:[A-Za-z0-9_-]{9}|\s{0,3}[\"']?[A-Za-z0-9_+/.~-]{16})")
"""One sign and a run behind it are in all of them: `-----BEGIN`, `sk-1234567890`, `AKIA1234567890`, `eyJhbGciOiJ`, `key = 123...`.
It begins with characters that are rare in prose, so that Python runs over the others."""

_KEY_TYPE = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"

_NAMES = ("key", "secret", "token", "passwd", "password", "credential")

_MIN_BITS = 3.0
"""Shannon bits per character: words and paths have less than random text of their length."""


def _looks_random(match: re.Match[str]) -> tuple[int, int] | None:
    """The value alone: the name before it is no secret."""
    value = match["assigned_secret"]
    if not any(char.isdigit() for char in value) or not any(char.isalpha() for char in value):
        return None
    bits = -sum(count / len(value) * log2(count / len(value)) for count in Counter(value).values())
    return match.span("assigned_secret") if bits >= _MIN_BITS else None


DETECTORS: tuple[Detector, ...] = (
    Detector(
        "private_key",
        re.compile(rf"-----BEGIN {_KEY_TYPE}(?:[A-Za-z0-9+/=\s\\:,]|-(?!----))*(?:-----END {_KEY_TYPE})?"),
        re.compile(r"(?:-{1,5}|-----B[A-Z0-9 ]{0,60}-{0,5})\Z"),
        margin=80,
        shortest=27,
        ends=ALNUM | set(" -"),
        signed=True,
        trace=_TRACE,
    ),
    Detector(
        "api_key",
        re.compile(
            r"(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<{label}>{pattern})" for label, pattern in _TOKENS.items()) + ")"
        ),
        re.compile(r"[A-Za-z0-9_.-]{1,2048}+\Z"),
        shortest=14,
        ends=ALNUM | set("_.-"),
        signed=True,
        trace=_TRACE,
    ),
    Detector(
        "assigned_secret",
        re.compile(
            rf"(?i:{'|'.join(_NAMES)})s?[\"']?\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}[\"']?(?P<assigned_secret>[A-Za-z0-9_+/.~-]{{16,512}}={{0,2}})"
        ),
        re.compile(
            r"[A-Za-z]{1,12}+[\"']?+\s{0,3}+(?:(?::=?+|=>?+)\s{0,3}+[\"']?+[A-Za-z0-9_+/.~-]{0,512}+={0,2}+)?+\Z",
        ),
        shortest=20,
        signed=True,
        trace=_TRACE,
        validate=_looks_random,
    ),
)
