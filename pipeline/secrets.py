"""What keys and tokens look like, for whoever must not let them out. Source for the prefixes: the vendors' documentation, as collected by
https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import log2
from typing import Final

# Repeats are bounded so that a long run of letters and digits is not looked at again and again.
TOKENS: Mapping[str, str] = {
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

TRACE = re.compile(r"[-_.:=>AJ](?:[A-Za-z0-9_-]{9}|\s{0,3}+[\"']?+[A-Za-z0-9_+/.~-]{16})")
"""One sign and a run behind it are in all of them: `-----BEGIN`, `sk-1234567890`, `AKIA1234567890`, `eyJhbGciOiJ`, `key = 123...`.
It begins with characters that are rare in prose, so that Python runs over the others."""

KEY_TYPE: Final = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"

NAMES: Final = ("key", "secret", "token", "passwd", "password", "credential")
"""Names before a value that make it a secret, if it looks random."""

ASSIGNED: Final = rf"(?i:{'|'.join(NAMES)})s?[\"']?\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}[\"']?(?P<assigned_secret>[A-Za-z0-9_+/.~-]{{16,512}}={{0,2}})"

SECRET_FIELDS: Final = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "cookie",
        "password",
        "proxy_authorization",
        "secret",
        "set_cookie",
        "x_api_key",
    }
)
"""Names of fields whose whole value is a secret, with hyphens as underscores."""

_MIN_BITS = 3.0
"""Shannon bits per character: words and paths have less than random text of their length."""

_PRIVATE_KEY = re.compile(rf"-----BEGIN {KEY_TYPE}(?:[A-Za-z0-9+/=\s\\:,]|-(?!----))*(?:-----END {KEY_TYPE})?")
_TOKEN = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(TOKENS.values())})")
_ASSIGNED = re.compile(ASSIGNED)
_BEARER = re.compile(r"(?i)\bbearer\s{1,3}(?P<secret>(?=[^\s\"',;]*\d)[A-Za-z0-9._~+/=-]{16,4096})")
_USERINFO = re.compile(r"://[^/\s:@]{1,256}:(?P<secret>[^/\s@]{1,256})@")

_SHORTEST = 7
"""Characters: `://u:p@` is the shortest of all."""

_MARK = "[redacted]"


def looks_random(value: str) -> bool:
    """Whether a value is more like a key than like a word or a path."""
    if not any(char.isdigit() for char in value) or not any(char.isalpha() for char in value):
        return False
    return -sum(n / len(value) * log2(n / len(value)) for n in Counter(value).values()) >= _MIN_BITS


def covered(secret: str) -> str:
    """A mark as long as the secret: what is cut into pieces by offsets stays cut in the same places."""
    return _MARK.ljust(len(secret), "*") if len(secret) >= len(_MARK) else "*" * len(secret)


def mask_secrets(text: str) -> str:
    """`text` with everything that looks like a key, a token or a password covered. As long as before; masking twice changes nothing."""
    if len(text) < _SHORTEST:
        return text
    if "://" in text:
        text = _USERINFO.sub(_cover_named, text)
    if TRACE.search(text) is None and "earer" not in text and "EARER" not in text:
        return text
    text = _PRIVATE_KEY.sub(_cover, text)
    text = _TOKEN.sub(_cover, text)
    text = _BEARER.sub(_cover_named, text)
    return _ASSIGNED.sub(_cover_random, text)


def _cover(match: re.Match[str]) -> str:
    return covered(match[0])


def _cover_named(match: re.Match[str]) -> str:
    return _within(match, match.span("secret"))


def _cover_random(match: re.Match[str]) -> str:
    value = match["assigned_secret"]
    return _within(match, match.span("assigned_secret")) if looks_random(value) else match[0]


def _within(match: re.Match[str], span: tuple[int, int]) -> str:
    start, end = span[0] - match.start(), span[1] - match.start()
    return match[0][:start] + covered(match[0][start:end]) + match[0][end:]
