"""Providers by vendor: a row of the catalogue with its codec."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from ..pipeline.errors import ConfigError, MissingExtraError
from .azure import azure_place
from .catalogue import ROWS, Row, row_of
from .codec import NotInstalled
from .http import HTTPProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx
    from pydantic import SecretStr
    from typing_extensions import Unpack

    from ..pipeline.facts import TranslationPolicy
    from .codec import Codec
    from .google import TokenSource
    from .simulated import SimulatedVendor


ChatAPI = Literal["chat", "responses"]
"""Which of OpenAI's two protocols for chats is spoken; the reply looks the same."""


class Settings(TypedDict, total=False):
    """What every provider takes; see `HTTPProvider`."""

    api_key: str | SecretStr | None
    base_url: str | None
    headers: Mapping[str, str] | None
    transport: httpx.AsyncBaseTransport | None
    name: str | None
    max_response_bytes: int
    connect_s: float
    translation: TranslationPolicy
    fast: bool | None


class VendorSettings(Settings, total=False):
    """What `provider` takes: also the settings of single vendors, which their classes describe."""

    api: ChatAPI | Literal["converse", "invoke"]
    api_version: str | None
    project: str | None
    location: str | None
    credentials: TokenSource
    region: str | None
    profile: str | None
    access_key_id: str | None
    secret_access_key: str | SecretStr | None
    session_token: str | SecretStr | None


class OpenAI(HTTPProvider):
    """OpenAI. The key is `OPENAI_API_KEY`'s unless given. `api="responses"` asks its Responses API; a call may say otherwise."""

    def __init__(self, *, api: ChatAPI = "chat", **settings: Unpack[Settings]) -> None:
        super().__init__(row_of("openai"), codec_of(row_of("openai"), api), **settings)


class AzureOpenAI(HTTPProvider):
    """OpenAI's models on Azure: `base_url` (else `AZURE_OPENAI_ENDPOINT`) is the resource's endpoint, a model is a deployment.

    The key is `AZURE_OPENAI_API_KEY`'s unless given; a token of Entra ID is taken as one. Without a dated `api_version`
    (else `OPENAI_API_VERSION`) the newer addressing, `/openai/v1`, is used.
    """

    def __init__(self, *, api: ChatAPI = "chat", api_version: str | None = None, **settings: Unpack[Settings]) -> None:
        row = _dated(row_of("azure"), api_version)
        super().__init__(row, codec_of(row, api), **settings)


class Anthropic(HTTPProvider):
    """Anthropic. The key is `ANTHROPIC_API_KEY`'s unless given."""

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(row_of("anthropic"), codec_of(row_of("anthropic")), **settings)


class Gemini(HTTPProvider):
    """Google's Gemini at AI Studio's address. The key is `GEMINI_API_KEY`'s or `GOOGLE_API_KEY`'s unless given."""

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(row_of("gemini"), codec_of(row_of("gemini")), **settings)


class OpenAICompatible(HTTPProvider):
    """Any server that speaks OpenAI's protocol, at `base_url`. A key is sent if one is given."""

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(row_of("openai_compatible"), codec_of(row_of("openai_compatible")), **settings)


class Simulated(HTTPProvider):
    """The embedded simulated vendor, in process: no network, no key, the same answers every time.

    `dialect` is the protocol that is spoken to it, `vendor` the simulated vendor with settings of your own.
    """

    def __init__(
        self,
        *,
        dialect: Literal["openai", "anthropic"] = "openai",
        vendor: SimulatedVendor | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        from .simulated import SimulatedTransport

        chosen = _simulated_row(dialect)
        settings.setdefault("api_key", "simulated")
        settings.setdefault("transport", SimulatedTransport(vendor))
        super().__init__(chosen, codec_of(chosen), **settings)


def _simulated_row(dialect: str) -> Row:
    if dialect == "openai":
        return row_of("simulated")
    if dialect != "anthropic":
        raise ConfigError(f"dialect: expected 'openai' or 'anthropic', found {dialect!r}.")
    spoken = row_of("anthropic")
    return Row(
        name="simulated",
        docs=spoken.docs,
        base_url="http://simulated.invalid",
        needs_key=False,
        auth=spoken.auth,
        codec="anthropic",
        models_path=spoken.models_path,
        headers=spoken.headers,
    )


_ONLY_FOR: Final = {
    "api_version": "azure",
    **dict.fromkeys(("project", "location", "credentials"), "vertex"),
    **dict.fromkeys(("region", "profile", "access_key_id", "secret_access_key", "session_token"), "bedrock"),
}


def provider(vendor: str, **settings: Unpack[VendorSettings]) -> HTTPProvider:
    """A provider by its vendor's name or alias. Raises `ConfigError` for a name that the catalogue does not have.

    `api` is for those who speak OpenAI's protocol, and for Bedrock; the settings of one vendor only are those of its class.
    """
    chosen = row_of(vendor)
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    for name in given:
        if (only := _ONLY_FOR.get(name, chosen.name)) != chosen.name:
            raise ConfigError(f"{name}: expected it for {only} only, found it for {chosen.name}.")
    if chosen.name in ("vertex", "bedrock", "simulated"):
        return _own_class(chosen.name)(**given)
    chosen = _spoken(_dated(chosen, given.pop("api_version", None)), given.get("base_url"))
    return HTTPProvider(chosen, codec_of(chosen, given.pop("api", "chat")), **given)


def _own_class(name: str) -> Callable[..., HTTPProvider]:
    if name == "vertex":
        from .google import Vertex

        return Vertex
    if name == "bedrock":
        from .aws import Bedrock

        return Bedrock
    return Simulated


def _spoken(row: Row, base_url: str | None) -> Row:
    """Ollama speaks its own protocol at its root, and OpenAI's below `/v1`: the address says which one is wanted."""
    if row.codec != "ollama" or base_url is None or not base_url.rstrip("/").endswith("/v1"):
        return row
    return replace(row, codec="openai", models_path="/models")


def _dated(row: Row, api_version: str | None) -> Row:
    if api_version is None:
        return row
    if row.name != "azure":
        raise ConfigError(f"api_version: expected it for azure only, found it for {row.name}.")
    return replace(row, place=partial(azure_place, api_version=api_version))


def every_provider() -> tuple[HTTPProvider, ...]:
    """One provider for each vendor of the catalogue that has a place of its own; keys are read when a call is made."""
    return tuple(_installed(row) for row in ROWS if row.base_url or row.base_url_env)


def _installed(row: Row) -> HTTPProvider:
    """The vendor's provider; without its extra, one whose every call says which."""
    try:
        return provider(row.name)
    except MissingExtraError as missing:
        return HTTPProvider(row, NotInstalled(missing))


def codec_of(row: Row, api: ChatAPI = "chat") -> Codec:
    """The codec that speaks a row's protocol. Raises `ConfigError` for an `api` that it has not."""
    if api != "chat" and (api != "responses" or row.codec != "openai"):
        raise ConfigError(f"api: expected 'chat' or, for OpenAI's protocol, 'responses'; found {api!r} for {row.name}.")
    if row.codec == "anthropic":
        from .codecs.anthropic import AnthropicCodec

        return AnthropicCodec(provider=row.name)
    if row.codec == "cohere":
        from .codecs.cohere import CohereCodec

        return CohereCodec(provider=row.name)
    if row.codec == "ollama":
        from .codecs.ollama import OllamaCodec

        return OllamaCodec(provider=row.name)
    if row.codec == "gemini":
        from .codecs.gemini import GeminiCodec

        return GeminiCodec(provider=row.name)
    if row.codec == "vertex":
        from .codecs.vertex import VertexCodec
        from .google import place_of

        return VertexCodec(place_of(), provider=row.name)
    if row.codec == "bedrock":
        from .codecs.bedrock import BedrockCodec

        return BedrockCodec(provider=row.name)
    from .codecs.openai import OpenAICodec
    from .codecs.responses_choice import WithResponses

    return WithResponses(OpenAICodec(row.dialect), row.name, api)
