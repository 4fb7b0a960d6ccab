"""The one exception of the simulated vendor: a request that gets an error answer in the vendor's own shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(eq=False)
class Refusal(Exception):
    """Ends a request with HTTP `status`; each wire renders it in its own words.

    `kind` is OpenAI's `error.type` where it is not the usual one of the status; `param` and `code` are
    OpenAI's too. Anthropic's type follows from the status.
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    kind: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"
