"""What the server counted and measured.

Source: https://docs.ollama.com/api/usage
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from ...pipeline.call import Call
from ...pipeline.errors import ResponseValidationError
from ...pipeline.types import Usage

Json = dict[str, Any]

_DURATIONS: Final = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def usage_of(data: Json, call: Call) -> Usage | None:
    """The counts of an answer; None where there are none.

    A server that has a prompt in its cache may leave the prompt's count out. Its tokens are then 0 here, and the
    attempt's `usage_source` is `partial`: a count that is not whole.
    """
    prompt, completion = data.get("prompt_eval_count"), data.get("eval_count")
    if prompt is None and completion is None:
        return None
    if prompt is None and call.attempt is not None:
        call.attempt.usage_source = "partial"
    counts = {"prompt_tokens": prompt or 0, "completion_tokens": completion or 0}
    try:
        return Usage.model_validate({**counts, "total_tokens": sum(counts.values())})
    except (ValidationError, TypeError) as error:
        raise ResponseValidationError("Expected token counts in the server's answer, found something else.") from error


def durations_of(data: Json) -> Json:
    """How long the parts of the work took, in nanoseconds, under the server's names."""
    return {name: data[name] for name in _DURATIONS if data.get(name) is not None}
