"""The key of a call: a digest over everything that changes the answer, readable by nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from pydantic_core import PydanticSerializationError, to_json

from ..call import NO_OPTIONS, Call, CallOptions
from ..types import Request
from .entry import FORMAT

_DIGEST_BYTES = 20

_APART = {"model", "stream", "stream_options", "user", "metadata"}
"""Fields that leave the answer as it is: how it is delivered, who asked, and labels. The model is taken from the target."""


def answer_key(
    call: Call, *, namespace: str = "", further: str = "", secret: bytes = b"", request: Request | None = None
) -> str | None:
    """40 hex digits; None for a request that cannot be written as JSON.

    In it are: the operation, the target, the tenant, the caller's own base URL, headers, vendor settings and API key,
    every request field but `stream`, `stream_options`, `user` and `metadata`, unknown fields included, and the version
    of the entries' format. Fields that are not set count like null. The order of unknown fields at the top makes no
    difference; further inside it does, because the order of a schema's properties changes what models write.
    `request`: what stands for the call's own, where only a part of it is to tell answers apart.
    """
    try:
        parts = (_circumstances(call, namespace, further), *_asked(request or call.request))
    except PydanticSerializationError:
        return None
    # JSON text holds no zero byte, so no two lists of parts look the same.
    digest = _empty_digest(secret).copy()
    digest.update(b"\0".join(parts))
    return digest.hexdigest()


@lru_cache(maxsize=32)
def _empty_digest(secret: bytes) -> blake2b:
    return blake2b(digest_size=_DIGEST_BYTES, key=secret, person=b"glassway-cache")


def _circumstances(call: Call, namespace: str, further: str) -> bytes:
    options, (provider, model) = call.state.options, call.target
    here = (namespace, options.tenant, call.request.operation, provider, model, options.base_url)
    if options.api_key is None and not (further or options.headers or options.settings):
        return _usual(*here)  # many calls have the same
    return _written(here, further, options)


def _written(here: Sequence[str | None], further: str, options: CallOptions) -> bytes:
    namespace, *rest, base_url = here
    api_key = options.api_key.get_secret_value() if options.api_key is not None else None
    return to_json(
        [FORMAT, namespace, further, *rest, base_url, api_key, _sorted(options.headers), _sorted(options.settings)]
    )


@lru_cache(maxsize=512)
def _usual(*here: str | None) -> bytes:
    return _written(here, "", NO_OPTIONS)


def _asked(request: Request) -> tuple[bytes, bytes]:
    unknown, write = request.extra, request.__pydantic_serializer__.to_json
    if not unknown:
        return write(request, exclude=_APART, exclude_none=True, by_alias=True), b"[]"
    known = write(request, exclude=_APART.union(unknown), exclude_none=True, by_alias=True)
    return known, to_json(_sorted(unknown))


def _sorted(fields: Mapping[str, object]) -> list[tuple[str, object]]:
    return sorted(fields.items(), key=_name) if fields else []


def _name(item: tuple[str, object]) -> str:
    return item[0]
