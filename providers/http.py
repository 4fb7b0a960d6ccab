"""One provider for every vendor that is reached over HTTP: it does all I/O, a codec does the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import httpx
from pydantic import SecretStr
from pydantic_core import from_json

from ..pipeline.attempts import traceparent
from ..pipeline.call import NO_OPTIONS, Call
from ..pipeline.errors import APIError, BadRequestError, ConfigError, ResponseValidationError
from ..pipeline.parts import PartLimits
from ..pipeline.stream import Reply, Stream
from .addressing import Address, lower_names, masked_headers, masked_url
from .body import Answered, Body, BodySource, Exchanging, connection_error
from .codec import CountsTokens, Encoded
from .direct import Direct
from .heads import Heads, PreparedRequest
from .models import model_ids
from .request_id import request_id
from .translation import checked_policy
from .translation import encoded as encoded_by
from .transport import Transports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..pipeline.call import CallOptions
    from ..pipeline.facts import TranslationPolicy
    from ..pipeline.types import ChatRequest
    from .catalogue import Row
    from .codec import Codec
    from .heads import Head

MAX_RESPONSE_BYTES = 64 << 20
CONNECT_S = 10.0
_BASE_HEADERS = {"user-agent": "glassway", "accept-encoding": "gzip, deflate"}


class Availability(NamedTuple):
    """Whether a vendor answers, and what it said or why not. Truthy when it does."""

    available: bool
    reason: str

    def __bool__(self) -> bool:
        return self.available


class HTTPProvider(Direct):
    """The terminal of a pipeline for one vendor; or called by itself, by the client's methods. Safe for concurrent use, on any number of event loops.

    `api_key`: without one, the vendor's environment variables are read at each call (so keys can be rotated).
    `base_url`, `headers`: instead of, and beside, the row's. Options of a call override all three. A base URL from the environment is
    read once, when it is first needed.
    `transport`: any httpx transport, used as it is and not closed; by default one pool per event loop. Redirects are
    not followed and proxy variables not read: a transport that does so can be given.
    `fast`: whether the faster transport of the `fast` extra is used (see `Transports`); None: where it is installed.
    `name`: how models are addressed (`name/model`), where two providers of a vendor are in one pipeline.
    `max_response_bytes`: decompressed; a longer answer, streamed or not, is a `ResponseValidationError`.
    `translation`: what happens when the vendor cannot take a parameter as it is: `strict` raises `BadRequestError`, `warn`
    logs it once per process, `allow` only notes the fact. A call's own goes before.
    `connect_s`: the most seconds for a new connection; the call's deadline and limits hold besides.
    """

    _signs: ClassVar[bool] = False
    """Whether `_sign` has anything to do: most calls need not wait for nothing."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls._signs = cls._sign is not HTTPProvider._sign

    def __init__(
        self,
        row: Row,
        codec: Codec,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        name: str | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        connect_s: float = CONNECT_S,
        fast: bool | None = None,
        translation: TranslationPolicy = "warn",
    ) -> None:
        if max_response_bytes < 1 or connect_s <= 0:
            raise ConfigError(
                f"Expected positive limits, found max_response_bytes={max_response_bytes}, connect_s={connect_s}."
            )
        self.name = name or row.name
        self.row = row
        self.codec = codec
        self._address = Address(row, base_url, SecretStr(api_key) if isinstance(api_key, str) else api_key, headers)
        self._headers = {
            **_BASE_HEADERS,
            **row.headers,
            **lower_names(headers or {}),
        }
        self._heads = Heads(row, self._headers)
        self._transports = Transports(transport, fast=fast)
        self._max_response_bytes = max_response_bytes
        self._connect_s = connect_s
        self._translation = checked_policy(translation)

    def part_limits(self, call: Call) -> PartLimits:  # noqa: ARG002 - some vendors' models differ
        """What one embeddings request may hold; the pipeline sends a larger one in parts."""
        return PartLimits(self.row.dialect.embedding_inputs, self.row.dialect.embedding_tokens)

    # -- one call

    async def __call__(self, call: Call) -> Reply:
        """Send the request. A stream is returned when its first chunks are there: what fails before is raised here."""
        encoded = encoded_by(self.codec, call, self.name, self._translation)
        head = self._head(call, encoded)
        request = PreparedRequest(encoded, head, self._timeouts(call), self._more_headers(call))
        if self._signs:
            await self._sign(request, call)
        attempt = call.attempt
        if attempt is not None:
            attempt.server_address, attempt.server_port = head.host, head.port
            attempt.http_method, attempt.vendor = encoded.method, self.row.name
        body = await self._send(request)
        try:
            if attempt is not None:
                attempt.status_code, attempt.request_id = body.status_code, request_id(body.headers)
            if not 200 <= body.status_code < 300:
                raise await self._status_error(body, call)
            return await (self._stream(call, body) if call.request.stream else self._whole(call, body))
        except BaseException:
            await body.aclose()
            raise

    async def _send(self, request: httpx.Request) -> Body:
        transport = self._transports.current()
        try:
            if isinstance(transport, Exchanging):
                answered = await transport.exchange(request)
            else:
                answered = Answered.of(await transport.handle_async_request(request))
        except httpx.LocalProtocolError as error:
            raise connection_error(error, request.url) from None  # its text quotes the header
        except httpx.TransportError as error:
            raise connection_error(error, request.url, self._connect_s) from error
        return Body(answered, request.url, self._max_response_bytes)

    async def _whole(self, call: Call, body: Body) -> Reply:
        content = await body.read()
        if not body.closed:
            await body.aclose()
        _refuse_page(body, content)
        response = self.codec.decode(call, content)
        _note_reply(call, response)
        return response

    async def _stream(self, call: Call, body: Body) -> Stream:
        kind = body.headers.get("content-type", "")
        if ("json" in kind and "ndjson" not in kind) or "html" in kind:
            content = await body.read()
            _refuse_page(body, content)
            self.codec.decode(call, content)  # an error in a 200, most likely: raised by this
            raise ResponseValidationError(f"Expected an event stream, found {kind}. Does this server stream?")
        source = BodySource(body, self.codec.decoder(call))
        first = await source.read()
        _note_reply(call, first[0] if first else None)
        return Stream(source, lambda chunks: self.codec.assemble(call, chunks), first=first)

    async def _status_error(self, body: Body, call: Call | None = None) -> APIError:
        if body.status_code < 400:
            return ResponseValidationError(
                f"Expected a status of 200, found {body.status_code}. Is base_url right? Redirects are not followed.",
                status_code=body.status_code,
                retryable=False,
            )
        error = self.codec.error(body.status_code, body.headers, await body.start())
        return self._address.without_secrets(error, call)

    # -- the request

    async def _sign(self, request: httpx.Request, call: Call | None) -> None:
        """Add what can only be said of the whole request. Nothing here: most vendors want a key, which has its header."""

    def _timeouts(self, call: Call) -> dict[str, float | None]:
        remaining_s, limit_s, connect_s = call.remaining_s(), call.limits.connect_s, self._connect_s
        if limit_s is not None and limit_s < connect_s:
            connect_s = limit_s
        if remaining_s is not None and remaining_s < connect_s:
            connect_s = remaining_s
        return {"connect": connect_s, "read": None, "write": None, "pool": remaining_s}

    def _head(self, call: Call, encoded: Encoded) -> Head:
        url = self._address.place(call, encoded.path)
        return self._heads.head(encoded, url, self._address.key(call), stream=call.request.stream)

    def _more_headers(self, call: Call) -> dict[str, str] | None:
        """What this call alone adds to its head."""
        parent, own = traceparent(call), call.state.options.headers
        if parent is None and not own:
            return None
        return {**({} if parent is None else {"traceparent": parent}), **lower_names(own)}

    def _all_headers(self, call: Call, encoded: Encoded) -> dict[str, str]:
        named = self._heads.named(encoded, self._address.key(call), stream=call.request.stream)
        return {**named, **(self._more_headers(call) or {})}

    def preview(self, call: Call) -> dict[str, Any]:
        """What would be sent: method, URL, headers and JSON body, with credentials masked. Dispatches nothing."""
        encoded = encoded_by(self.codec, call, self.name, self._translation)
        try:
            headers = masked_headers(self._all_headers(call, encoded))
        except ConfigError as missing:
            headers = {**masked_headers({**self._headers, **encoded.headers}), "authorization": missing.message}
        url = masked_url(self._address.place(call, encoded.path))
        return {"method": encoded.method, "url": url, "headers": headers, "body": _shown(encoded)}

    # -- the vendor itself

    async def list_models(self) -> tuple[str, ...]:
        """The ids of the vendor's models, in its order. Raises like a call does; waits at most three times `connect_s`."""
        url = self._address.place(None, self.row.models_path)
        asking = Encoded("GET", "", b"")
        head = self._heads.head(asking, url, self._address.key(), stream=False)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._connect_s)
        try:
            async with asyncio.timeout(3 * self._connect_s):
                request = PreparedRequest(asking, head, timeouts)
                await self._sign(request, None)
                return await self._models(request)
        except TimeoutError as error:
            raise connection_error(error, url) from error

    async def count_tokens(self, request: ChatRequest, options: CallOptions = NO_OPTIONS) -> int:
        """The vendor's own count of a prompt's tokens, tools included. Waits at most three times `connect_s`, if `options` say nothing else.

        Raises like a call does, and `BadRequestError` where the vendor has no such endpoint: `estimate_tokens` is for those.
        """
        if not isinstance(self.codec, CountsTokens):
            raise BadRequestError(
                f"Expected a vendor that counts tokens, found {self.name}. Estimate them: estimate_tokens()."
            )
        call = Call.start(request, options=options, known=frozenset({self.name}), timeout_s=3 * self._connect_s)
        encoded = self.codec.encode_count(call)
        head = self._head(call, encoded)
        try:
            async with asyncio.timeout(call.remaining_s()):
                asked = PreparedRequest(encoded, head, self._timeouts(call), self._more_headers(call))
                await self._sign(asked, call)
                return self.codec.decode_count(await self._good_answer(asked, call))
        except TimeoutError as error:
            raise connection_error(error, head.url) from error

    async def _good_answer(self, request: httpx.Request, call: Call) -> bytes:
        body = await self._send(request)
        try:
            if body.status_code != 200:
                raise await self._status_error(body, call)
            return await body.read()
        finally:
            await body.aclose()

    async def _models(self, request: httpx.Request) -> tuple[str, ...]:
        body = await self._send(request)
        try:
            if body.status_code != 200:
                raise await self._status_error(body)
            return model_ids(await body.read())
        finally:
            await body.aclose()

    async def available(self) -> Availability:
        """Whether the vendor lists its models for this key. Never raises for a vendor that does not."""
        try:
            models = await self.list_models()
        except (APIError, ConfigError) as error:
            return Availability(False, f"{error.kind}: {error.message}")
        return Availability(True, f"{len(models)} models")

    # -- lifecycle

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones. A transport that was given stays open."""
        await self._transports.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, base_url={self._address.shown!r})"


def _shown(encoded: Encoded) -> Any:
    """The body as a reader wants to see it; of a form with files, how large it is."""
    kind = encoded.headers.get("content-type", "")
    if "json" in kind:
        return from_json(encoded.content)
    return {"content_type": kind.partition(";")[0], "bytes": len(encoded.content)}


_NO_PAGES = ("audio/", "image/", "text/plain", "application/octet-stream")


def _refuse_page(body: Body, content: bytes) -> None:
    kind = body.headers.get("content-type", "")
    if kind.startswith(_NO_PAGES):
        return  # sound may begin with any byte, and what was said with any letter
    if "html" in kind or content[:64].lstrip()[:1] == b"<":
        raise ResponseValidationError(
            "Expected JSON, found a page of HTML with status 200. Is base_url right, and does a proxy answer in its place?"
        )


def _note_reply(call: Call, reply: Any) -> None:
    """The vendor's own names for the answer, from a whole one or from the first chunk."""
    if (attempt := call.attempt) is not None and reply is not None:
        attempt.response_id = getattr(reply, "id", None) or None
        attempt.response_model = getattr(reply, "model", None) or None
        tier = getattr(reply, "service_tier", None) or (getattr(reply, "extra", None) or {}).get("service_tier")
        attempt.service_tier = tier if isinstance(tier, str) else None
