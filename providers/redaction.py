"""What a vendor says about an error, made fit for an exception's text: bounded, no keys, no quotations of the request."""

from __future__ import annotations

import re
from typing import Final

MESSAGE_CHARS: Final = 300
"""The most of a vendor's message that an error repeats."""

MASK: Final = "[masked]"

# A page of HTML or a dump of the request may be megabytes long; the expressions below see only its beginning.
_READ_CHARS: Final = 4_000

_ECHOED_INPUT = re.compile(
    r"""(?:\binput_value\s*=|["']input["']\s*:|["']?\bfailed_generation["']?\s*[:=]).*""", re.DOTALL
)
_DATA_URL = re.compile(r"\bdata:[\w.+-]+/[\w.+-]+[;,]\S*", re.IGNORECASE)
_CREDENTIAL = re.compile(r"(?i)\b(?:bearer|basic)\s+[^\s\"',;]{6,}")
_ASSIGNED = re.compile(
    r"(?i)\b(api[-_ ]?key|x-api-key|access[-_]?token|authorization|password|secret|token|key)(\"?\s*[=:]\s*\"?)(?=\S*[\d*])[^\s\"',;&]{6,}"
)
_PREFIXED = re.compile(
    r"\b(?:sk|pk|rk|gsk|hf|xai|nvapi|key|r8|pplx|csk|tgp|ghp|glpat|eyJ)[-_][A-Za-z0-9*._+/=-]{4,}|\b(?:AKIA|ASIA|AIza|ya29|eyJ)[\w.*+/=-]{8,}"
)
# Keys without a prefix (Azure: 32 hex digits) are long runs of letters and digits; names of models have hyphens in them.
_LONG_RUN = re.compile(r"(?=[A-Za-z_]*\d)(?=[\d_]*[A-Za-z])[A-Za-z0-9_]{24,}[=]{0,2}")
# An apostrophe inside a word opens nothing; short quotations are consumed too, or their ends would pair with the next.
_QUOTATION = re.compile(r"""(?<!\w)(["'`])((?:(?!\1(?!\w)).)*)(?:\1|$)""", re.DOTALL)
_QUOTED_CHARS: Final = 64


def safe_message(text: str) -> str:
    """At most `MESSAGE_CHARS` characters of `text` on one line, with `[masked]` for what may be a key or part of a prompt.

    Masked are credentials (known prefixes, `key=...`, bearer tokens, long runs of letters and digits), `data:` URLs,
    quotations of more than 64 characters, and everything behind a mark of echoed input (`input_value=`).
    """
    line = " ".join(text[:_READ_CHARS].split())
    for pattern in (_ECHOED_INPUT, _DATA_URL, _CREDENTIAL, _PREFIXED):
        line = pattern.sub(MASK, line)
    line = _QUOTATION.sub(_without_long, line)
    line = _LONG_RUN.sub(MASK, _ASSIGNED.sub(rf"\1\2{MASK}", line))
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 1] + "…"


def _without_long(quotation: re.Match[str]) -> str:
    return MASK if len(quotation[2]) > _QUOTED_CHARS else quotation[0]
