"""Where Google serves its models: hosts by location, and versions of the API in the path.

Source: https://ai.google.dev/gemini-api/docs/api-versions, https://cloud.google.com/vertex-ai/docs/reference/rest#service-endpoint
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..pipeline.call import Call

GLOBAL: Final = "global"
_VERSION: Final = re.compile(r"/v1(?:beta\d*|alpha\d*)?$")
_MULTI_REGIONS: Final = ("us", "eu")


def google_place(base: str, path: str, call: Call | None) -> str:  # noqa: ARG001 - the contract of rows
    """`path` without its version where the base URL says one already: then that one holds."""
    if _VERSION.search(base.partition("?")[0].rstrip("/")):
        return path[path.index("/", 1) :]
    return path


def host_of(location: str) -> str:
    """The base URL of a location, of the locations together (`global`), or of those of the US or the EU."""
    if location == GLOBAL:
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"
