"""Vertex AI: the provider that knows projects, locations and access tokens.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations, https://cloud.google.com/docs/authentication
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from pydantic import SecretStr

from ..pipeline.call import NO_OPTIONS, Call
from ..pipeline.errors import ConfigError, MissingExtraError
from .addressing import Address
from .catalogue import Row, row_of
from .codecs.vertex import Place, VertexCodec
from .google_place import GLOBAL, host_of
from .http import HTTPProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from typing_extensions import Unpack

    from ..pipeline.call import CallOptions
    from ..pipeline.stream import Reply
    from ..pipeline.types import ChatRequest
    from .vendors import Settings

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_PROJECT: Final = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
_LOCATION: Final = ("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION")
_IN_PATH: Final = re.compile(r"/locations/([a-z0-9-]+)/")


class Credentials(Protocol):
    """What google-auth's credentials have."""

    token: Any

    @property
    def valid(self) -> bool:
        """Whether the token is there and not expired."""
        ...

    def refresh(self, request: Any) -> None:
        """Get another one. Blocks."""
        ...


TokenSource: TypeAlias = "Credentials | Callable[[], str | Awaitable[str]] | None"


class AccessTokens:
    """Access tokens of one account: from a function (async or not), from google-auth's credentials, or of the machine.

    `latest` is None before the first `refresh`. May be used by any number of calls at a time.
    """

    def __init__(self, source: TokenSource) -> None:
        self._function = source if callable(source) else None
        self._credentials = None if callable(source) else source
        self.latest: SecretStr | None = None

    async def refresh(self) -> None:
        """Have a token that is valid now. Raises `ConfigError` if there is no account, `MissingExtraError` without google-auth."""
        if self._function is not None:
            made = self._function()
            self.latest = SecretStr(await made if inspect.isawaitable(made) else made)
        elif self._credentials is None or not self._credentials.valid:
            self.latest = await asyncio.to_thread(self._from_google)
        else:
            self.latest = SecretStr(str(self._credentials.token))

    def _from_google(self) -> SecretStr:
        try:
            import google.auth
            from google.auth.exceptions import GoogleAuthError
            from google.auth.transport.requests import Request
        except ImportError as error:
            raise MissingExtraError("Vertex AI without api_key= or credentials=", "vertex") from error
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(Request())
        except GoogleAuthError as error:
            raise ConfigError(
                f"Expected credentials for Google Cloud, found none that work ({type(error).__name__}). Give api_key= or credentials=, or run: gcloud auth application-default login"
            ) from error
        return SecretStr(str(self._credentials.token))


class GoogleAddress(Address):
    """An address with an access token for a key, and with the host of the location that the path names."""

    def __init__(self, row: Row, settings: Settings, tokens: AccessTokens) -> None:
        key = settings.get("api_key")
        key = SecretStr(key) if isinstance(key, str) else key
        super().__init__(row, settings.get("base_url"), key, settings.get("headers"))
        self._tokens = tokens

    def key(self, call: Call | None = None) -> SecretStr | None:
        """As for every vendor, and behind that the account's token."""
        return super().key(call) or self._tokens.latest

    def url(self, path: str, base_url: str | None = None) -> httpx.URL:
        """`path` at its location's host, unless the user named another."""
        base = base_url or self._base()
        if base == self._row.base_url and (found := _IN_PATH.search(path)):
            base = host_of(found[1])
        return super().url(path, base)


def place_of(project: str | None = None, location: str | None = None) -> Callable[[Call], Place]:
    """What decides on a call's project and location: its settings, then these, then the vendor's variables, then `global`."""

    def place(call: Call) -> Place:
        own = call.options.settings
        return Place(
            own.get("project") or project or _variable(_PROJECT),
            own.get("location") or location or _variable(_LOCATION) or GLOBAL,
        )

    return place


class Vertex(HTTPProvider):
    """Vertex AI: models of Google and Anthropic in a project of Google Cloud.

    `project`, `location`: without them a call's settings, then `GOOGLE_CLOUD_PROJECT` and `GOOGLE_CLOUD_LOCATION`; the
    location is `global` in the end. Without a project it is express mode, which takes an API key.
    `api_key`: an access token, or an API key. `credentials`: google-auth's, or a function that returns an access token,
    which is asked for every call. Without any of them google-auth looks for the machine's own (extra `vertex`).
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        location: str | None = None,
        credentials: TokenSource = None,
        **settings: Unpack[Settings],
    ) -> None:
        row = row_of("vertex")
        super().__init__(row, VertexCodec(place_of(project, location)), **settings)
        self._tokens = AccessTokens(credentials)
        self._address = GoogleAddress(row, settings, self._tokens)

    async def __call__(self, call: Call) -> Reply:
        """Send the request, with a token that is valid now."""
        await self._sign_in(call)
        return await super().__call__(call)

    async def list_models(self) -> tuple[str, ...]:
        """The ids of Google's models."""
        await self._sign_in(None)
        return await super().list_models()

    async def count_tokens(self, request: ChatRequest, options: CallOptions = NO_OPTIONS) -> int:
        """Google's own count of a prompt's tokens."""
        await self._sign_in(Call.start(request, options=options))
        return await super().count_tokens(request, options)

    async def _sign_in(self, call: Call | None) -> None:
        if Address.key(self._address, call) is None:
            await self._tokens.refresh()


def _variable(names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)
