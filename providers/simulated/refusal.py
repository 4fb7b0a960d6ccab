"""The one exception of the simulated vendor: a request that gets an error answer in the vendor's own shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer of the vendor, not an error of this library
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
