"""Providers by vendor: a row of the catalogue with its codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from ..pipeline.errors import ConfigError
from .catalogue import ROWS, Row, row_of
from .http import HTTPProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from pydantic import SecretStr
    from typing_extensions import Unpack

    from .codec import Codec
    from .simulated import SimulatedVendor


class Settings(TypedDict, total=False):
    """What every provider takes; see `HTTPProvider`."""

    api_key: str | SecretStr | None
    base_url: str | None
    headers: Mapping[str, str] | None
    transport: httpx.AsyncBaseTransport | None
    name: str | None
    max_response_bytes: int
    connect_s: float


class OpenAI(HTTPProvider):
    """OpenAI. The key is `OPENAI_API_KEY`'s unless given."""

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(row_of("openai"), codec_of(row_of("openai")), **settings)


class Anthropic(HTTPProvider):
    """Anthropic. The key is `ANTHROPIC_API_KEY`'s unless given."""

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(row_of("anthropic"), codec_of(row_of("anthropic")), **settings)


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


def provider(vendor: str, **settings: Unpack[Settings]) -> HTTPProvider:
    """A provider by its vendor's name or alias. Raises `ConfigError` for a name that the catalogue does not have."""
    chosen = row_of(vendor)
    if chosen.name == "simulated":
        return Simulated(**settings)
    return HTTPProvider(chosen, codec_of(chosen), **settings)


def every_provider() -> tuple[HTTPProvider, ...]:
    """One provider for each vendor of the catalogue that has a place of its own; keys are read when a call is made."""
    return tuple(provider(row.name) for row in ROWS if row.base_url is not None)


def codec_of(row: Row) -> Codec:
    """The codec that speaks a row's protocol."""
    if row.codec == "anthropic":
        from .codecs.anthropic import AnthropicCodec

        return AnthropicCodec(provider=row.name)
    from .codecs.openai import OpenAICodec

    return OpenAICodec(row.dialect)
