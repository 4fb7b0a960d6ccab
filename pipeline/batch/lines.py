"""The lines of a batch: requests and results as OpenAI's batch interface writes them.

**Source:** https://platform.openai.com/docs/api-reference/batch/request-input
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from ..call import CallOptions
from ..errors import ConfigError, GlasswayError
from ..params import Params
from ..types import ChatRequest, EmbeddingsRequest, ImageRequest, ModerationRequest, Request, RerankRequest, Response

ENDPOINTS: Mapping[str, type[Request]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/embeddings": EmbeddingsRequest,
    "/v1/images/generations": ImageRequest,
    "/v1/moderations": ModerationRequest,
    "/v1/rerank": RerankRequest,
}
"""What a line's `url` may be. Answers that are files (speech) have no place in JSON lines."""

URLS: Mapping[type[Request], str] = {kind: url for url, kind in ENDPOINTS.items()}

_MOST_COMPLAINTS = 10


class BatchRequest(NamedTuple):
    """One request of a batch."""

    custom_id: str
    """Unique in its batch: what tells after a kill which requests have their results."""
    request: Request
    options: CallOptions
    digest: str
    """Of the request as it was given, 16 hex digits: a result belongs to a request that has not changed since."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one request: a response or an error."""

    custom_id: str
    index: int
    """Its place among the requests, from 0."""
    response: Response | None
    error: GlasswayError | None = field(default=None, repr=False)
    tries: int = 1
    """How often it went through the pipeline."""
    cost_usd: Decimal | None = None
    """Of all tries; None if a part is unknown."""
    digest: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.error is None

    def to_line(self) -> bytes:
        """A line of OpenAI's output file, with what only we know under `glassway`. Ends with a newline."""
        beside = {
            "request": self.digest,
            "provider": getattr(self.response or self.error, "provider", None),
            "tries": self.tries,
            "cost_usd": None if self.cost_usd is None else str(self.cost_usd),
        }
        return to_json({"custom_id": self.custom_id, **self._answer(), "glassway": beside}) + b"\n"

    def _answer(self) -> dict[str, Any]:
        if self.response is not None:
            return {
                "response": {
                    "status_code": 200,
                    "request_id": self.response.request_id,
                    "body": self.response.model_dump(mode="json", by_alias=True, exclude_none=True),
                },
                "error": None,
            }
        error = self.error or GlasswayError("No answer.")
        told = {"code": error.kind, "message": error.message}
        if error.status_code is None:
            return {"response": None, "error": told}
        answer = {
            "status_code": error.status_code,
            "request_id": error.request_id,
            "body": {"error": {"type": error.kind, **told}},
        }
        return {"response": answer, "error": told}


class MakeParams(Protocol):
    """A client's way from a body to a request: names are resolved, options are told from fields."""

    def __call__(
        self,
        kind: type[Request],
        model: str,
        fields: Mapping[str, Any],
        options: CallOptions,
        params: Mapping[str, Any],
    ) -> Params: ...


Given = str | PathLike[str] | Iterable[Request | Mapping[str, Any]]
"""A file of JSON lines; or requests, or lines as mappings."""


def read_requests(given: Given, make: MakeParams, model: str | None = None) -> list[BatchRequest]:
    """All requests, each checked before the first is sent. `model` is for bodies that name none.

    Raises `ConfigError` with the lines that are wrong: no JSON, an unknown `url`, a body that is no request, an id twice.
    """
    file = Path(given) if isinstance(given, (str, PathLike)) else None
    lines = enumerate(given, 1) if file is None else _lines(file)  # type: ignore[arg-type]  # the iterable of the two
    where = "requests, number" if file is None else f"{file}, line"
    found: dict[str, BatchRequest] = {}
    complaints: list[str] = []
    for number, line in lines:
        try:
            request = _request(line, number, make, model)
            if request.custom_id in found:
                raise ConfigError(f"custom_id {request.custom_id!r} is there twice: results could not be told apart.")
            found[request.custom_id] = request
        except ConfigError as error:
            complaints.append(f"{where} {number}: {error.message}")
    if complaints:
        rest = len(complaints) - _MOST_COMPLAINTS
        more = [f"... and {rest} more."] if rest > 0 else []
        raise ConfigError("\n".join([*complaints[:_MOST_COMPLAINTS], *more]))
    return list(found.values())


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with file.open("rb") as opened:
            yield from ((number, line) for number, line in enumerate(opened, 1) if line.strip())
    except OSError as error:
        raise ConfigError(f"{file}: expected a file of JSON lines, one request each ({error.strerror}).") from None


def _request(line: object, number: int, make: MakeParams, model: str | None) -> BatchRequest:
    if isinstance(line, Request):
        url = URLS.get(type(line))
        if url is None:
            raise ConfigError(
                f"a request for {type(line).operation} cannot be in a batch. Known: {', '.join(ENDPOINTS)}."
            )
        data: Any = {"custom_id": f"request-{number}", "url": url, "body": line.to_dict()}
    elif isinstance(line, bytes):
        data = _parsed(line)
    else:
        data = line
    if not isinstance(data, Mapping):
        raise ConfigError(f"expected an object with custom_id, url and body, found {type(data).__name__}.")
    return _of_mapping(data, number, make, model)


def _parsed(line: bytes) -> object:
    try:
        return from_json(line)
    except ValueError as error:
        raise ConfigError(f"expected JSON ({error}).") from None


def _of_mapping(data: Mapping[str, Any], number: int, make: MakeParams, model: str | None) -> BatchRequest:
    custom_id = data.get("custom_id", f"request-{number}")
    url, body = data.get("url", "/v1/chat/completions"), data.get("body")
    kind = ENDPOINTS.get(url) if isinstance(url, str) else None
    if not isinstance(custom_id, str) or not custom_id:
        raise ConfigError(f"custom_id: expected a text, found {custom_id!r}.")
    if data.get("method", "POST") != "POST":
        raise ConfigError(f"method: expected POST, found {data['method']!r}.")
    if kind is None:
        raise ConfigError(f"url: expected one of {', '.join(ENDPOINTS)}, found {url!r}.")
    if not isinstance(body, Mapping):
        raise ConfigError(f"body: expected the request's fields, found {type(body).__name__}.")
    if body.get("stream"):
        raise ConfigError("stream: a batch's answers are whole. Leave it out.")
    named = body.get("model", model)
    if not isinstance(named, str) or not named:
        raise ConfigError("model: expected 'vendor/model' in the body (or a model for all lines), found none.")
    fields = {name: value for name, value in body.items() if name not in ("model", "stream")}
    options = CallOptions(metadata={"custom_id": custom_id})
    try:
        params = make(kind, named, {}, options, fields)
    except ValidationError as error:
        raise ConfigError(f"body: {_first(error)}") from None
    except TypeError as error:
        raise ConfigError(f"body: {error}") from None
    return BatchRequest(custom_id, params.request, params.options, _digest(url, named, fields))


def _first(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


def _digest(url: str, model: str, fields: Mapping[str, Any]) -> str:
    said = json.dumps([url, model, fields], sort_keys=True, default=str).encode()
    return hashlib.blake2b(said, digest_size=8).hexdigest()
