"""One provider for every vendor that is reached over HTTP: it does all I/O, a codec does the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from pydantic import SecretStr
from pydantic_core import from_json

from ..pipeline.attempts import traceparent
from ..pipeline.errors import APIError, ConfigError, GlasswayError, ResponseValidationError
from ..pipeline.stream import Reply, Stream
from .addressing import Address, authorization, masked_headers, masked_url
from .body import Body, BodySource, connection_error
from .models import model_ids
from .transport import Transports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..pipeline.call import Call
    from .catalogue import Row
    from .codec import Codec, Encoded

MAX_RESPONSE_BYTES = 64 << 20
CONNECT_S = 10.0
_BASE_HEADERS = {"user-agent": "glassway", "accept-encoding": "gzip, deflate"}


class Availability(NamedTuple):
    """Whether a vendor answers, and what it said or why not. Truthy when it does."""

    available: bool
    reason: str

    def __bool__(self) -> bool:
        return self.available


class HTTPProvider:
    """The terminal of a pipeline for one vendor. Safe for concurrent use, on any number of event loops.

    `api_key`: without one, the vendor's environment variables are read at each call (so keys can be rotated).
    `base_url`, `headers`: instead of, and beside, the row's. Options of a call override all three.
    `transport`: any httpx transport, used as it is and not closed; by default one pool per event loop. Redirects are
    not followed and proxy variables not read: a transport that does so can be given.
    `name`: how models are addressed (`name/model`), where two providers of a vendor are in one pipeline.
    `max_response_bytes`: decompressed; a longer answer, streamed or not, is a `ResponseValidationError`.
    `connect_s`: the most seconds for a new connection; the call's deadline and limits hold besides.
    """

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
    ) -> None:
        if max_response_bytes < 1 or connect_s <= 0:
            raise ConfigError(
                f"Expected positive limits, found max_response_bytes={max_response_bytes}, connect_s={connect_s}."
            )
        self.name = name or row.name
        self.row = row
        self.codec = codec
        self._address = Address(row, base_url, SecretStr(api_key) if isinstance(api_key, str) else api_key)
        self._headers = {
            **_BASE_HEADERS,
            **row.headers,
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        self._transports = Transports(transport)
        self._max_response_bytes = max_response_bytes
        self._connect_s = connect_s

    # -- one call

    async def __call__(self, call: Call) -> Reply:
        """Send the request. A stream is returned when its first chunks are there: what fails before is raised here."""
        encoded = self.codec.encode(call)
        request = self._request(call, encoded)
        response = await self._send(call, request)
        try:
            if response.status_code != 200:
                raise await self._status_error(call, response)
            if call.request.stream:
                return await self._stream(call, response)
            return await self._whole(call, response)
        except BaseException:
            await response.aclose()
            raise

    async def _send(self, call: Call, request: httpx.Request) -> httpx.Response:
        attempt = call.attempt
        if attempt is not None:
            attempt.server_address, attempt.server_port = request.url.host, self._address.port(request.url)
            attempt.http_method = request.method
            attempt.vendor = self.row.name
        try:
            response = await self._transports.current().handle_async_request(request)
        except httpx.TransportError as error:
            raise connection_error(error, request.url, self._connect_s) from error
        # a Response that knows its request decompresses and names it in its own errors
        response.request = request
        if attempt is not None:
            attempt.status_code = response.status_code
            attempt.request_id = self._address.request_id(response.headers)
        return response

    async def _whole(self, call: Call, response: httpx.Response) -> Reply:
        body = await Body(response, self._max_response_bytes).read()
        await response.aclose()
        self._check_type(response, body)
        reply = self.codec.decode(call, body)
        self._note_response(call, reply)
        return reply

    async def _stream(self, call: Call, response: httpx.Response) -> Stream:
        body = Body(response, self._max_response_bytes)
        kind = response.headers.get("content-type", "")
        if "json" in kind or "html" in kind:
            self._check_type(response, start := await body.read())
            self.codec.decode(call, start)  # an error in a 200, most likely: raised by this
            raise ResponseValidationError(f"Expected an event stream, found {kind}. Does this server stream?")
        source = BodySource(body, self.codec.decoder(call))
        first = await source.read()
        self._note_response(call, first[0] if first else None)
        return Stream(source, lambda chunks: self.codec.assemble(call, chunks), first=first)

    async def _status_error(self, call: Call, response: httpx.Response) -> GlasswayError:
        if response.status_code < 400:
            return ResponseValidationError(
                f"Expected status 200, found {response.status_code}. Is base_url right? Redirects are not followed.",
                status_code=response.status_code,
                retryable=False,
            )
        body = await Body(response, self._max_response_bytes).start()
        headers = {name.lower(): value for name, value in response.headers.items()}
        error = self.codec.error(response.status_code, headers, body)
        return self._address.without_secrets(error, call)

    def _check_type(self, response: httpx.Response, body: bytes) -> None:
        if "html" in response.headers.get("content-type", "") or body[:64].lstrip()[:1] == b"<":
            raise ResponseValidationError(
                "Expected JSON, found a page of HTML with status 200. Is base_url right, and does a proxy answer in its place?"
            )

    def _note_response(self, call: Call, reply: Any) -> None:
        attempt = call.attempt
        if attempt is not None and reply is not None:
            attempt.response_id = getattr(reply, "id", None) or None
            attempt.response_model = getattr(reply, "model", None) or None
            tier = getattr(reply, "service_tier", None) or (getattr(reply, "extra", None) or {}).get("service_tier")
            attempt.service_tier = tier if isinstance(tier, str) else None

    # -- the request

    def _request(self, call: Call, encoded: Encoded) -> httpx.Request:
        remaining_s = call.remaining_s()
        connect_s = min(limit for limit in (self._connect_s, call.limits.connect_s, remaining_s) if limit is not None)
        return httpx.Request(
            encoded.method,
            self._address.url(encoded.path, call.options.base_url),
            headers=self._all_headers(call, encoded),
            content=encoded.content,
            extensions={"timeout": {"connect": connect_s, "read": None, "write": None, "pool": remaining_s}},
        )

    def _all_headers(self, call: Call, encoded: Encoded) -> dict[str, str]:
        headers = {**self._headers, **encoded.headers, **self._authorization(call)}
        headers["accept"] = "text/event-stream" if call.request.stream else "application/json"
        if (parent := traceparent(call)) is not None:
            headers["traceparent"] = parent
        if call.options.headers:
            headers.update({name.lower(): value for name, value in call.options.headers.items()})
        return headers

    def _authorization(self, call: Call | None) -> dict[str, str]:
        return authorization(self.row, self._address.key(call))

    def preview(self, call: Call) -> dict[str, Any]:
        """What would be sent: method, URL, headers and JSON body, with credentials masked. Dispatches nothing."""
        encoded = self.codec.encode(call)
        url = self._address.url(encoded.path, call.options.base_url)
        headers = masked_headers(self._all_headers(call, encoded))
        return {
            "method": encoded.method,
            "url": masked_url(url),
            "headers": headers,
            "body": from_json(encoded.content),
        }

    # -- the vendor itself

    async def list_models(self) -> tuple[str, ...]:
        """The ids of the vendor's models, in its order. Raises like a call does."""
        url = self._address.url(self.row.models_path)
        timeouts = {
            "connect": self._connect_s,
            "read": self._connect_s,
            "write": self._connect_s,
            "pool": self._connect_s,
        }
        headers = {**self._headers, **self._authorization(None), "accept": "application/json"}
        request = httpx.Request("GET", url, headers=headers, extensions={"timeout": timeouts})
        try:
            async with asyncio.timeout(3 * self._connect_s):
                response = await self._transports.current().handle_async_request(request)
                return await self._model_ids(request, response)
        except httpx.TransportError as error:
            raise connection_error(error, url, self._connect_s) from error
        except TimeoutError as error:
            raise connection_error(error, url, 3 * self._connect_s) from error

    async def _model_ids(self, request: httpx.Request, response: httpx.Response) -> tuple[str, ...]:
        response.request = request
        try:
            body = await Body(response, self._max_response_bytes).start()
            if response.status_code != 200:
                headers = {name.lower(): value for name, value in response.headers.items()}
                raise self._address.without_secrets(self.codec.error(response.status_code, headers, body))
            return model_ids(body)
        finally:
            await response.aclose()

    async def available(self) -> Availability:
        """Whether the vendor lists its models for this key. Never raises for a vendor that does not."""
        try:
            models = await self.list_models()
        except (APIError, ConfigError) as error:
            return Availability(False, f"{error.kind}: {error.message}")
        return Availability(True, f"{len(models)} models")

    # -- lifecycle

    async def aclose(self) -> None:
        """Close the connections of this event loop. A later call opens new ones. A transport that was given stays open."""
        await self._transports.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, base_url={self._address.shown!r})"
