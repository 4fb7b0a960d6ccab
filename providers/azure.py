"""Where Azure OpenAI has its endpoints: the address holds the deployment and the version of the API.

Source: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference (deployments),
https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle (`/openai/v1/`)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote

if TYPE_CHECKING:
    from ..pipeline.call import Call

VERSION_VARIABLE: Final = "OPENAI_API_VERSION"
"""The variable that the vendor's own client reads."""

_V1: Final = "/openai/v1"
_UNDATED: Final = frozenset({"v1", "preview", "latest"})
"""Versions of the newer addressing; only these may stand beside it."""
_OF_NO_DEPLOYMENT: Final = ("/responses", "/models", "/files", "/batches")
_FOUNDRY: Final = "/models"
"""Where a Foundry resource serves models of all makers."""


def azure_place(base: str, path: str, call: Call | None, *, api_version: str | None = None) -> str:
    """`path` as it stands behind `base`, the endpoint of a resource.

    With a dated version (the call's `api_version`, else `api_version`, else `OPENAI_API_VERSION`) it is
    `/openai/deployments/{deployment}/...?api-version=...`, without one `/openai/v1/...`, where no version is needed. The
    deployment is the call's `deployment`, else its model. A base that already says `/openai/v1`, a deployment, or
    Foundry's `/models` is kept, and so is an `api-version` in its query.
    """
    own, _, query = base.partition("?")
    own = own.rstrip("/")
    said = parse_qs(query).get("api-version", [None])[0]
    version = said or _asked(call) or api_version or os.environ.get(VERSION_VARIABLE)
    prefix = _prefix(own, path, version, call)
    undated = own.endswith(_V1) or prefix == _V1
    if said or version is None or version == "v1" or (undated and version not in _UNDATED):
        return prefix + path
    return f"{prefix}{path}?api-version={quote(version, safe='')}"


def _asked(call: Call | None) -> str | None:
    return call.options.settings.get("api_version") if call is not None else None


def _prefix(base: str, path: str, version: str | None, call: Call | None) -> str:
    if base.endswith((_V1, _FOUNDRY)) or "/openai/deployments/" in base:
        return ""
    if version is None or version in _UNDATED:
        return _V1
    if call is None or path.startswith(_OF_NO_DEPLOYMENT):
        return "/openai"
    return f"/openai/deployments/{quote(call.options.settings.get('deployment') or call.target.model, safe='')}"
