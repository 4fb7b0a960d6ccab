"""AWS Bedrock: regions, accounts and signatures. botocore finds the credentials, refreshes them and signs.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/getting-started-api.html,
https://docs.aws.amazon.com/general/latest/gr/bedrock.html (endpoints)
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import SecretStr

from ..pipeline.errors import ConfigError
from ..pipeline.parts import PartLimits
from ..pipeline.types import EmbeddingsResponse
from .addressing import Address
from .catalogue import row_of
from .codecs.bedrock import BedrockCodec, embeddings_model
from .codecs.bedrock_embeddings import counted, most_inputs
from .http import HTTPProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from typing_extensions import Unpack

    from ..pipeline.call import Call
    from ..pipeline.stream import Reply
    from .body import Body
    from .catalogue import Row
    from .codecs.bedrock import Api
    from .vendors import Settings

_REGION: Final = re.compile(r"[a-z]{2,6}(-[a-z]+)+-\d{1,2}")
_REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_DOMAINS: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_DOMAIN: Final = "amazonaws.com"
_SIGNED: Final = ("content-type", "host", "x-amz-")
"""Headers that are signed, or their beginnings: no others, because a proxy on the way may change them."""


class AccessKeys(NamedTuple):
    """Long-term keys, or temporary ones with their session token."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None = None


class Account:
    """Who we are at AWS, and in which region. Safe for concurrent use, also by several threads.

    `keys` go before `profile`, and that before botocore's own chain: environment, profile, SSO, web identity, container,
    instance. What the chain finds is kept and refreshed when it expires.
    """

    def __init__(self, region: str | None, profile: str | None, keys: AccessKeys | None) -> None:
        self._region = region
        self._profile = profile
        self._keys = keys
        self._lock = threading.Lock()
        self._made: Any = None  # botocore's session
        self._found: Any = None  # botocore's credentials

    @property
    def is_told(self) -> bool:
        """Whether the user named keys or a profile: then a bearer token of the environment is not meant."""
        return self._keys is not None or self._profile is not None

    @property
    def told_region(self) -> str | None:
        """Our own, or the environment's; None where it is the profile's to say."""
        return self._region or _variable(_REGION_VARIABLES)

    def region(self, call: Call | None = None) -> str:
        """The call's, else our own, else the environment's, else the profile's. Raises `ConfigError` if nobody says one."""
        asked = call.options.settings.get("region") if call is not None else None
        region = asked or self.told_region or self._session().get_config_variable("region")
        if not region:
            raise ConfigError(
                "No region for bedrock: expected region=..., the environment variable AWS_REGION, or a profile with one; found none.",
                provider="bedrock",
            )
        if not _REGION.fullmatch(str(region)):
            raise ConfigError(
                f"region: expected a name like us-east-1, found {str(region)[:40]!r}.", provider="bedrock"
            )
        return str(region)

    async def find(self, call: Call | None) -> None:
        """Have the profile's region read, if it is needed: that reads files, so it is not done on the event loop."""
        asked = call is not None and call.options.settings.get("region")
        if self._made is None and not (asked or self.told_region):
            await asyncio.to_thread(self._session)

    async def sign(self, request: httpx.Request, region: str) -> None:
        """Sign with the credentials of now (SigV4). Raises `ConfigError` if there are none, or none that work.

        Finding and refreshing may read files and ask AWS: a thread does that. A signature itself is 60 us of hashing.
        """
        credentials = self._valid() or await asyncio.to_thread(self._find)
        request.headers.update(_signature(request, credentials, region))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be in no message."""
        known = self._valid()
        return tuple(value for value in (known.access_key, known.secret_key, known.token) if value) if known else ()

    def _valid(self) -> Any:
        """Credentials that need no refreshing, frozen; None otherwise."""
        found = self._found
        if found is None or (hasattr(found, "refresh_needed") and found.refresh_needed()):
            return None
        return found.get_frozen_credentials()

    def _find(self) -> Any:
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]  # botocore has no types

        _signer()  # imported here, because that takes 0.1 s
        try:
            with self._lock:
                self._found = self._found or self._load()
            if self._found is not None:
                return self._found.get_frozen_credentials()
        except BotoCoreError as error:
            raise _no_credentials(f"some that do not work ({type(error).__name__})") from error
        raise _no_credentials("none")

    def _load(self) -> Any:
        if self._keys is None:
            return self._session_unlocked().get_credentials()
        from botocore.credentials import Credentials  # type: ignore[import-untyped]  # as above

        token = self._keys.session_token
        return Credentials(
            self._keys.access_key_id,
            self._keys.secret_access_key.get_secret_value(),
            token.get_secret_value() if token else None,
        )

    def _session(self) -> Any:
        with self._lock:
            return self._session_unlocked()

    def _session_unlocked(self) -> Any:
        if self._made is None:
            import botocore.session  # type: ignore[import-untyped]  # as above
            from botocore.exceptions import ProfileNotFound

            made = botocore.session.Session(profile=self._profile)
            try:
                made.get_config_variable("region")
            except ProfileNotFound as error:
                raise ConfigError(
                    f"profile: expected one of AWS's configuration files, found {self._profile!r}."
                ) from error
            self._made = made
        return self._made


def _no_credentials(found: str) -> ConfigError:
    return ConfigError(
        "No credentials for bedrock: expected api_key=..., access keys, profile=..., AWS_BEARER_TOKEN_BEDROCK or what the AWS SDKs look for "
        f"(AWS_ACCESS_KEY_ID ...), found {found}.",
        provider="bedrock",
    )


def _signature(request: httpx.Request, credentials: Any, region: str) -> dict[str, str]:
    """The headers that signing adds. The path is signed as it is sent, with its escapes escaped once more."""
    signer, request_class = _signer()
    sent = {name: value for name, value in request.headers.items() if name.startswith(_SIGNED)}
    signed = request_class(request.method, str(request.url), headers=sent, data=request.content)
    signer(credentials, "bedrock", region).add_auth(signed)
    return {name.lower(): value for name, value in signed.headers.items() if name.lower() not in sent}


@cache
def _signer() -> tuple[Any, Any]:
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # botocore has no types
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # as above

    return SigV4Auth, AWSRequest


def _variable(names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


class AWSAddress(Address):
    """Hosts by region: the runtime for calls, the control plane for the list of models."""

    def __init__(self, row: Row, settings: Settings, account: Account) -> None:
        key = settings.get("api_key")
        super().__init__(
            row, settings.get("base_url"), SecretStr(key) if isinstance(key, str) else key, settings.get("headers")
        )
        self._account = account

    def key(self, call: Call | None = None) -> SecretStr | None:
        """An API key of Bedrock, if that is who we are. None: the request is to be signed."""
        given = call.options.api_key if call is not None else None
        if given is not None or self._api_key is not None:
            return given or self._api_key
        return None if self._account.is_told else super().key(call)

    @property
    def shown(self) -> str:
        """The base URL, as far as it is known before a call."""
        return super().shown if self._base() else f"https://bedrock-runtime.{self._account.told_region or '<region>'}"

    def place(self, call: Call | None, path: str) -> httpx.URL:
        """The region's endpoint, unless somebody named another. Raises `ConfigError` if nobody has said which region."""
        base = (call.options.base_url if call is not None else None) or self._base()
        if not base:
            region = self._account.region(call)
            service = "bedrock-runtime" if path.startswith("/model/") else "bedrock"
            base = f"https://{service}.{region}.{_DOMAINS.get(region.partition('-')[0], _DOMAIN)}"
        return self.url(path, base)

    def _secrets(self, call: Call | None) -> Iterator[str]:
        yield from self._account.secrets
        yield from super()._secrets(call)


class Bedrock(HTTPProvider):
    """AWS Bedrock (extra `bedrock`). Raises `MissingExtraError` without botocore.

    `region`: without it a call's setting, then `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's.
    Who we are: `api_key` (a Bedrock API key, sent as a bearer token; else `AWS_BEARER_TOKEN_BEDROCK`), or
    `access_key_id` with `secret_access_key` (and `session_token`), or `profile`, or what botocore finds.
    `api="invoke"` sends the models' own bodies (Claude, Nova) instead of Converse's; a call may say otherwise.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | SecretStr | None = None,
        session_token: str | SecretStr | None = None,
        api: Api = "converse",
        **settings: Unpack[Settings],
    ) -> None:
        row = row_of("bedrock")
        super().__init__(row, BedrockCodec(api=api), **settings)
        self._account = Account(region, profile, _keys(access_key_id, secret_access_key, session_token))
        self._address = AWSAddress(row, settings, self._account)

    async def __call__(self, call: Call) -> Reply:
        """Send the request, signed with credentials that are valid now."""
        await self._account.find(call)
        return await super().__call__(call)

    def part_limits(self, call: Call) -> PartLimits:
        """Cohere's models take several texts at once, Amazon's one."""
        return PartLimits(most_inputs(embeddings_model(call)))

    async def _whole(self, call: Call, body: Body) -> Reply:
        """Where the body counts no tokens, a header does."""
        reply = await super()._whole(call, body)
        tokens = body.headers.get("x-amzn-bedrock-input-token-count", "")
        if isinstance(reply, EmbeddingsResponse) and reply.usage is None and tokens.isdecimal():
            return reply.but(usage=counted(int(tokens)))
        return reply

    async def list_models(self) -> tuple[str, ...]:
        """The ids of the region's foundation models."""
        await self._account.find(None)
        return await super().list_models()

    async def _sign(self, request: httpx.Request, call: Call | None) -> None:
        if self._address.key(call) is None:
            await self._account.sign(request, self._account.region(call))


def _keys(
    access_key_id: str | None, secret: str | SecretStr | None, token: str | SecretStr | None
) -> AccessKeys | None:
    if access_key_id is None and secret is None and token is None:
        return None
    if access_key_id is None or secret is None:
        raise ConfigError(
            "Expected access_key_id and secret_access_key together, found one of them.", provider="bedrock"
        )
    return AccessKeys(access_key_id, _secret(secret), None if token is None else _secret(token))


def _secret(value: str | SecretStr) -> SecretStr:
    return SecretStr(value) if isinstance(value, str) else value
