"""What a call's trace means: parameters, marks of the answer, content if wanted, and which traces are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ..pipeline.call import Call
from ..pipeline.errors import ConfigError
from ..pipeline.plan import Rule
from ..pipeline.stream import Handler, Reply, observed
from ..pipeline.telemetry.meaning import Meaning
from ..pipeline.telemetry.policy import Capture, Keep, Redact, TracePolicy

_INSIDE_HIDES = "a span around each try hides that they belong to one call"
_OUTSIDE = {
    "Retry": _INSIDE_HIDES,
    "Fallback": _INSIDE_HIDES,
    "Cache": "answers from the cache would leave no trace",
    "Cost": "the bill is written when the call ends, and the trace is judged by it",
    "Guardrails": "blocked calls would leave no trace",
}


@dataclass(frozen=True, slots=True)
class Tracing:
    """Adds to the spans that every pipeline makes: request parameters, response marks and, if captured, messages.

    `sample`: the share of ordinary calls whose traces are kept, 0 to 1. `keep`: the whole policy; its defaults keep
    failures, blocked calls and fallbacks always. Given neither, the process's telemetry decides.
    `capture`: where messages are shown; None follows OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT, which is off
    where it is not set. `redact`: applied to every text before it leaves, error messages included; if it raises, the
    trace is lost rather than shown. `content_bytes`: the most bytes of one content attribute.
    `conversation`: the metadata key that names a conversation. `metadata`: further metadata keys that are shown.
    """

    rule: ClassVar[Rule] = Rule(outside=_OUTSIDE)

    sample: float | None = None
    keep: Keep | Mapping[str, Any] | None = None
    capture: Capture | None = None
    redact: Redact | None = field(default=None, repr=False)
    content_bytes: int = 65_536
    conversation: str = "conversation_id"
    metadata: tuple[str, ...] = ()
    _policy: TracePolicy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.capture not in (None, "off", "span", "event", "both"):
            raise ConfigError(f"capture: expected off, span, event or both, found {self.capture!r}.")
        if self.content_bytes < 256:
            raise ConfigError(f"content_bytes: expected at least 256, found {self.content_bytes}.")
        policy = TracePolicy(
            _keep(self.keep, self.sample), self.capture, self.redact, self.content_bytes, tuple(self.metadata)
        )
        object.__setattr__(self, "_policy", policy)

    def __call__(self, call: Call, call_next: Handler) -> Awaitable[Reply]:
        """Note the request now and the answer when it has ended."""
        trace = call.state.trace
        if trace is None or not trace.traced:
            return call_next(call)
        meaning = Meaning(self._policy, call, call.options.metadata.get(self.conversation))
        trace.show(meaning)
        return observed(call, call_next, meaning.ended)


def _keep(keep: Keep | Mapping[str, Any] | None, sample: float | None) -> Keep | None:
    chosen = Keep(**keep) if isinstance(keep, Mapping) else keep
    if sample is None:
        return chosen
    return replace(chosen or Keep(), ratio=sample)
