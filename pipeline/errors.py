"""Every error that Glassway raises, in one tree, with OpenAI's names.

    GlasswayError
    ├── PlanError                      the pipeline cannot work as composed
    ├── ConfigError                    a setting is missing or wrong
    │   └── MissingExtraError          an optional package is not installed
    ├── StageError                     a stage broke the contract of the chain
    ├── StoreError                     shared state cannot be had, and the stage that needs it fails closed
    ├── CassetteMiss                   a replay that may send nothing was asked for what it does not hold
    ├── APIError                       the vendor, or the way to it
    │   ├── APIConnectionError
    │   │   └── APITimeoutError
    │   ├── APIStatusError
    │   │   ├── BadRequestError
    │   │   │   ├── ContextWindowExceededError
    │   │   │   └── ContentPolicyError
    │   │   ├── AuthenticationError
    │   │   ├── PermissionDeniedError
    │   │   ├── NotFoundError
    │   │   ├── ConflictError
    │   │   ├── UnprocessableEntityError
    │   │   ├── RateLimitError
    │   │   ├── InternalServerError
    │   │   └── ServiceUnavailableError
    │   ├── StreamInterruptedError
    │   └── ResponseValidationError
    ├── PolicyError                    a rule of the caller's own stack said no
    │   ├── GuardrailViolation
    │   ├── BudgetExceeded
    │   ├── RateLimitExceeded
    │   ├── QueueFull
    │   ├── CircuitOpen
    │   └── UnpricedModel
    └── AllAttemptsFailed

A message says what was expected, what was found and the next step. It never holds a key or a prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

    from .record import Record
    from .types import Response

Kind = Literal[
    "auth",
    "bad_response",
    "budget_exceeded",
    "cancelled",
    "cassette_miss",
    "circuit_open",
    "conflict",
    "connect",
    "config",
    "content_filter",
    "context_length",
    "exhausted",
    "guardrail_blocked",
    "internal",
    "invalid_request",
    "limit_exceeded",
    "not_found",
    "overloaded",
    "permission",
    "plan",
    "queue_full",
    "rate_limited",
    "server_error",
    "stage",
    "store",
    "stream_interrupted",
    "timeout",
]
"""The closed list behind the `error.type` label and attribute."""

Fault = Literal["caller", "gateway", "provider", "network", "policy"]
"""Whose move it is."""

KINDS: frozenset[str] = frozenset(get_args(Kind))


class GlasswayError(Exception):
    """The root: catch it to catch everything that Glassway raises on purpose."""

    kind: ClassVar[Kind] = "internal"
    fault: Fault = "gateway"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        status_code: int | None = None,
        retry_after_s: float | None = None,
        attempts: int | None = None,
        retryable: bool | None = None,
        fault: Fault | None = None,
    ) -> None:
        """`retry_after_s` is what the vendor asked for, in seconds; `attempts` counts requests sent for this call.

        `retryable` and `fault` override the class's own where one case differs from its kind.
        """
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.request_id = request_id
        self.status_code = status_code
        self.retry_after_s = retry_after_s
        self.attempts = attempts
        self.record: Record | None = None
        if retryable is not None:
            self.retryable = retryable
        if fault is not None:
            self.fault = fault

    def __reduce__(self) -> tuple[Callable[..., GlasswayError], tuple[Any, ...], dict[str, Any]]:
        """Errors cross process boundaries whole (keyword-only arguments defeat the default)."""
        return (
            _rebuild,
            (type(self), self.args),
            self.__dict__,
        )  # the state comes last: it leads back here, by the record's frames


def _rebuild(cls: type[GlasswayError], args: tuple[Any, ...]) -> GlasswayError:
    return cls.__new__(cls, *args)


class PlanError(GlasswayError):
    """The list of stages cannot work in this order; the message names both stages and the move to make."""

    kind: ClassVar[Kind] = "plan"
    fault: Fault = "caller"


class ConfigError(GlasswayError):
    """A setting is unknown, missing or of the wrong type; the message gives its path."""

    kind: ClassVar[Kind] = "config"
    fault: Fault = "caller"


class MissingExtraError(ConfigError):
    """An optional package is needed by what was asked for; the message is the `pip install` to run."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package. Run: pip install 'glassway[{extra}]'")
        self.extra = extra


class StageError(GlasswayError):
    """A stage returned something that is no reply, or went on after its call had ended."""

    kind: ClassVar[Kind] = "stage"


class StoreError(GlasswayError):
    """The store of shared state failed or is full, and the stage that asked it lets no call pass without it."""

    kind: ClassVar[Kind] = "store"
    retryable = True


class CassetteMiss(GlasswayError):  # noqa: N818 - what it is called
    """A request is not in the cassette that stands in for the vendor; the message names the nearest one and what differs, not the content."""

    kind: ClassVar[Kind] = "cassette_miss"
    fault: Fault = "caller"


class APIError(GlasswayError):
    """The vendor answered with an error, answered nonsense, or could not be reached.

    `partial`: of a stream, the response assembled from what had arrived; None when nothing had.
    """

    fault: Fault = "provider"
    partial: Response | None = None


class APIConnectionError(APIError):
    """No answer: name resolution, connect, TLS, or the connection broke before the first chunk."""

    kind: ClassVar[Kind] = "connect"
    fault: Fault = "network"
    retryable = True


class APITimeoutError(APIConnectionError):
    """A time limit of the call ran out; the message says which one."""

    kind: ClassVar[Kind] = "timeout"


class APIStatusError(APIError):
    """The vendor answered with an HTTP status that is an error. `body` is its error object, without echoes of the request."""

    kind: ClassVar[Kind] = "server_error"


class BadRequestError(APIStatusError):
    """400: the vendor does not accept the request as it is."""

    kind: ClassVar[Kind] = "invalid_request"
    fault: Fault = "caller"


class ContextWindowExceededError(BadRequestError):
    """The prompt, or prompt and output together, do not fit the model's context window."""

    kind: ClassVar[Kind] = "context_length"


class ContentPolicyError(BadRequestError):
    """The vendor's own content policy refused the request."""

    kind: ClassVar[Kind] = "content_filter"


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""

    kind: ClassVar[Kind] = "auth"
    fault: Fault = "caller"


class PermissionDeniedError(APIStatusError):
    """403: the key is valid and may not do this."""

    kind: ClassVar[Kind] = "permission"
    fault: Fault = "caller"


class NotFoundError(APIStatusError):
    """404: no such model or endpoint."""

    kind: ClassVar[Kind] = "not_found"
    fault: Fault = "caller"


class ConflictError(APIStatusError):
    """409: the request collides with another."""

    kind: ClassVar[Kind] = "conflict"
    retryable = True


class UnprocessableEntityError(APIStatusError):
    """422: well-formed and not acceptable."""

    kind: ClassVar[Kind] = "invalid_request"
    fault: Fault = "caller"


class RateLimitError(APIStatusError):
    """429: too many requests or tokens, or the quota is used up (then `retryable` is false)."""

    kind: ClassVar[Kind] = "rate_limited"
    retryable = True


class InternalServerError(APIStatusError):
    """500 and other 5xx: the vendor failed."""

    kind: ClassVar[Kind] = "server_error"
    retryable = True


class ServiceUnavailableError(APIStatusError):
    """503 and 529: the vendor is overloaded or down for now."""

    kind: ClassVar[Kind] = "overloaded"
    retryable = True


class StreamInterruptedError(APIError):
    """A stream ended without its finish: cut, or broken in the middle."""

    kind: ClassVar[Kind] = "stream_interrupted"
    retryable = True


class ResponseValidationError(APIError):
    """The vendor's answer is not what its protocol says (broken JSON, a page of HTML, missing fields)."""

    kind: ClassVar[Kind] = "bad_response"
    retryable = True


class PolicyError(GlasswayError):
    """A rule of the caller's own stack refused the call."""

    fault: Fault = "policy"


class GuardrailViolation(PolicyError):  # noqa: N818 - the field's name for it
    """A guardrail blocked the request or the answer; `rule` names it, the content is not repeated."""

    kind: ClassVar[Kind] = "guardrail_blocked"

    def __init__(self, message: str, *, rule: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.rule = rule


class BudgetExceeded(PolicyError):  # noqa: N818
    """The money set aside for this key, tenant or model is spent."""

    kind: ClassVar[Kind] = "budget_exceeded"


class RateLimitExceeded(PolicyError):  # noqa: N818
    """Our own limit, not the vendor's: `retry_after_s` says when there is room again."""

    kind: ClassVar[Kind] = "limit_exceeded"


class QueueFull(PolicyError):  # noqa: N818
    """Too many calls wait already."""

    kind: ClassVar[Kind] = "queue_full"


class CircuitOpen(PolicyError):  # noqa: N818
    """The target failed too often and is not tried for now."""

    kind: ClassVar[Kind] = "circuit_open"


class UnpricedModel(PolicyError):  # noqa: N818
    """The model has no known price, and the stack refuses what it cannot bill."""

    kind: ClassVar[Kind] = "config"


class AllAttemptsFailed(GlasswayError):  # noqa: N818
    """Every target or try failed, or the attempt budget is spent. `errors` holds what each one said, in order."""

    kind: ClassVar[Kind] = "exhausted"
    fault: Fault = "provider"

    def __init__(self, message: str, *, errors: tuple[BaseException, ...] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.errors = errors


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    503: ServiceUnavailableError,
    529: ServiceUnavailableError,
}


def status_error_class(status_code: int) -> type[APIStatusError]:
    """The class for an HTTP status; unlisted 4xx are `BadRequestError`, unlisted 5xx `InternalServerError`.

    Source: 529 is Anthropic's "overloaded", https://docs.anthropic.com/en/api/errors
    """
    fallback = InternalServerError if status_code >= 500 else BadRequestError
    return _BY_STATUS.get(status_code, fallback)


def error_kind(error: BaseException) -> Kind:
    """The closed label of any exception; what is not ours is `internal`, a cancellation `cancelled`."""
    if isinstance(error, GlasswayError):
        return error.kind
    if type(error).__name__ == "CancelledError" or isinstance(error, (KeyboardInterrupt, GeneratorExit)):
        return "cancelled"
    return "timeout" if isinstance(error, TimeoutError) else "internal"
