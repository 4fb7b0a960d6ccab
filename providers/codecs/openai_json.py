"""What requests and answers of the smaller operations have in common: JSON objects that fit, or say why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from ...pipeline.errors import ResponseValidationError
from ...pipeline.facts import TRANSLATION, Translation
from ...pipeline.types import Response, Usage
from ..codec import Encoded
from .openai_answer import usage_of
from .openai_errors import error_in_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...pipeline.call import Call
    from ..dialect import Dialect

Json = dict[str, Any]
ResponseT = TypeVar("ResponseT", bound=Response)

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
NO_NAMES: frozenset[str] = frozenset()


def json_request(path: str, body: Json) -> Encoded:
    """A POST of a JSON body."""
    return Encoded("POST", path, to_json(body), JSON_HEADERS)


def body_of(call: Call, dialect: Dialect, *, without: frozenset[str] = NO_NAMES) -> Json:
    """The request's fields as the vendor calls them, those that are not set left out. Notes what changed as `TRANSLATION` facts."""
    request = call.request
    operation = request.operation
    body = request.model_dump(mode="json", exclude_none=True, by_alias=True, exclude={"stream", *without})
    body["model"] = call.target.model
    for name in dialect.other_unsupported.get(operation, NO_NAMES) & body.keys():
        del body[name]
        call.add(TRANSLATION, Translation(name, "dropped", f"{dialect.name} does not take it"))
    renamed = dialect.other_renamed.get(operation, {})
    for name in renamed.keys() & body.keys():
        body[renamed[name]] = body.pop(name)
        call.add(TRANSLATION, Translation(name, "renamed", f"{dialect.name} calls it {renamed[name]}"))
    return body


def object_in(body: bytes, expected: str) -> Json:
    """The JSON object that `body` is. Raises what an error in it means, and `ResponseValidationError` if it is none."""
    try:
        data = from_json(body)
    except ValueError as error:
        raise no_answer(expected, f"{len(body)} bytes that are no complete JSON") from error
    if not isinstance(data, dict):
        raise no_answer(expected, f"a JSON {type(data).__name__}")
    if (said := error_in_body(data)) is not None:
        raise said
    return data


def fitted(kind: type[ResponseT], data: Json, expected: str) -> ResponseT:
    """`data` as a response. Raises `ResponseValidationError` if it does not fit."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise no_answer(expected, f"one that does not fit ({where(error)})") from error


def no_answer(expected: str, found: str) -> ResponseValidationError:
    """The error of an answer that is none."""
    return ResponseValidationError(
        f"Expected {expected}, found {found}. Is base_url right, and does it serve OpenAI's protocol?"
    )


def where(error: ValueError) -> str:
    """Where it does not fit, without what was there."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def counted(counts: Any) -> Usage | None:
    """Token counts under either pair of names that OpenAI has for them; None where nobody counted tokens.

    What is paid by the second (`{"type": "duration", "seconds": 3}`) has no tokens, and gets no count of zero.

    Source: https://platform.openai.com/docs/api-reference/audio/json-object
    """
    if not isinstance(counts, dict):
        return None
    if "input_tokens" not in counts:
        return usage_of(counts) if any(name in counts for name in ("prompt_tokens", "total_tokens")) else None
    usage = {name: value for name, value in counts.items() if value is not None}
    usage["prompt_tokens"] = usage.pop("input_tokens")
    usage["completion_tokens"] = usage.pop("output_tokens", 0)
    for details, ours in _DETAILS.items():
        if details in usage:
            usage[ours] = usage.pop(details)
    return usage_of(usage)


_DETAILS = {
    "input_token_details": "prompt_tokens_details",
    "input_tokens_details": "prompt_tokens_details",
    "output_token_details": "completion_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}
"""The singular is transcription's, the plural images'."""
