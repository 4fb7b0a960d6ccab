"""Facts: typed things that stages and providers write on a call, and that the record, spans and metrics are made of.

A fact never holds content (prompts, answers) or secrets: it may be shown anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args

from .errors import Kind
from .types.usage import Usage, UsageSource

T = TypeVar("T")


class Slot(Generic[T]):
    """The place of one fact on a call: `call.set(SLOT, value)`, `call.get(SLOT)`. Writing again replaces it."""

    __slots__ = ("doc", "name")

    def __init__(self, name: str, doc: str) -> None:
        """`name` is how the fact is called in the record: lower case, words joined by underscores."""
        self.name = name
        self.doc = doc

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Trail(Slot[T]):
    """The place of facts that happen several times in a call: `call.add(TRAIL, value)`, `call.trail(TRAIL)`."""

    __slots__ = ()


@dataclass(slots=True)
class Attempt:
    """One request sent to a vendor. Filled in as it goes; complete when `end_ns` is set."""

    number: int
    """From 1, over retries, fallbacks and hedges of the call."""
    provider: str
    model: str
    start_ns: int
    end_ns: int | None = None
    span_id: int = 0
    reason: Literal["first", "retry", "fallback", "hedge"] = "first"
    server_address: str | None = None
    server_port: int | None = None
    http_method: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    error: Kind | None = None
    usage: Usage | None = None
    usage_source: UsageSource = "missing"
    first_content_ns: int | None = None
    """When the first chunk with output came; the very first may hold only a role."""
    first_chunk_ns: int | None = None
    chunks: int = 0
    gaps_ns: list[int] = field(default_factory=list, repr=False)
    """Waits for the blocks after the first, measured on the vendor's side: a slow consumer does not show here."""
    useful: bool = False
    """Whether the caller's answer came from it; tokens of the others are waste."""
    vendor: str | None = None
    """The catalogue's name of the vendor, where `provider` is a name of the user's own: what prices go by."""
    service_tier: str | None = None
    """The tier that served it, where the vendor says so: tiers have prices of their own."""
    written_tokens: int | None = None
    """What the vendor wrote, by estimate, of a stream that it did not count to its end; None: its count or the answer tells."""

    @property
    def duration_s(self) -> float:
        """Seconds from sending to the end of the body; so far, while it runs on, 0."""
        return ((self.end_ns or self.start_ns) - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Retried:
    """A failed try that is followed by another."""

    attempt: int
    """The number of the request that failed."""
    error: Kind
    wait_s: float
    told_by: Literal["backoff", "retry_after"]


StopReason = Literal["tries_spent", "wait_too_long", "no_time_left", "attempt_budget_spent", "retry_budget_spent"]
"""Why no further try followed: the stage's own tries; a pause beyond its limit; the deadline; the call's attempt budget; the retry budget."""


@dataclass(frozen=True, slots=True)
class RetryStopped:
    """A failed try that might have passed and was not followed by another."""

    attempt: int
    """The number of the request that failed."""
    error: Kind
    reason: StopReason


@dataclass(frozen=True, slots=True)
class FellBack:
    """The call moved on to another target."""

    source: str
    target: str
    error: Kind
    because: Literal["error", "latency", "mid_stream"] = "error"
    """A failure before output; no output in time; a failure after output, at which another answer was spliced on."""


@dataclass(frozen=True, slots=True)
class FallbackSkipped:
    """A target that was not taken, for the call had been there."""

    target: str
    reason: Literal["own_target", "tried"]
    """It is where the call was going at first; another list had it before."""


SpliceRefusal = Literal[
    "no_target", "no_time_left", "attempt_budget_spent", "no_chat", "several_choices", "tool_call", "structured_output",
    "other_output", "finished", "too_much_output",
]  # fmt: skip
"""Why a stream that broke was not mended: nobody left who answers; the deadline; the attempt budget; no chat; more than one
choice; a tool call, JSON, or sound and refusals under way; a finish that had been said; more output than may be given up.
"""


@dataclass(frozen=True, slots=True)
class Spliced:
    """A stream that broke after output, and what became of it."""

    policy: Literal["continue", "restart"]
    source: str
    target: str
    """Who went on; empty if nobody did."""
    error: Kind
    chunks: int
    """Chunks that had been handed out."""
    characters: int
    """Characters of text that had been handed out."""
    reason: SpliceRefusal | Literal[""] = ""
    """Why nobody went on; empty if somebody did."""


HedgeResult = Literal["first_won", "hedge_won", "neither_won", "not_sent"]
"""What became of a second request: the first answered before it all the same; it answered first; neither did; it was not sent."""

HedgeRefusal = Literal[
    "few_samples", "share_spent", "money_spent", "unpriced", "attempt_budget_spent", "no_time_left", "sent_in_parts"
]
"""Why a second request was not sent: too few times are known; a cap on their share, or their cost; no price under a cap on cost;
the call's attempt budget; its deadline; a request that is divided already.
"""


@dataclass(frozen=True, slots=True)
class Hedged:
    """A second request for one that was slow, or why there was none."""

    target: str
    after_s: float
    """Seconds without output after which it was due; 0 where nobody can say."""
    result: HedgeResult
    reason: HedgeRefusal | Literal[""] = ""
    lost: tuple[int, ...] = ()
    """The numbers of the attempts that were not taken: what they cost is waste."""


Skipped = Literal["", "circuit_open", "context", "vision", "tools", "streaming", "latency", "price", "unpriced"]
"""Why a route did not take a target; empty for one that it might have taken."""


RouteDecider = Literal["function", "rule", "group", "default", "caller"]
"""What led to a target; `caller`: nothing of the router held, and the caller's own target stands."""


class Considered(NamedTuple):
    """A target that a route looked at."""

    target: str
    skipped: Skipped = ""
    detail: str = ""
    """What it was skipped for, in numbers."""
    score: float | Decimal | None = None
    """What the strategy compares: the least wins. Seconds, US dollars, requests in flight ...; None where it had no number."""

    def __str__(self) -> str:
        said = f"skipped: {self.skipped}{f' ({self.detail})' if self.detail else ''}" if self.skipped else self.detail
        score = "" if self.score is None else f"{self.score:.6g}"
        return " ".join(part for part in (f"{self.target}:", score, said) if part).removesuffix(":")


class Route(NamedTuple):
    """Where a call was sent, and everything that decided it."""

    route: str
    """The name of the group, the rule or the function that decided; `default` or `caller` where it was none of them."""
    target: str
    decided_by: RouteDecider
    strategy: str = ""
    """By what the target was chosen among several."""
    rest: tuple[str, ...] = ()
    """The targets that would come next, in order: what a fallback may go on with."""
    considered: tuple[Considered, ...] = ()
    rules: tuple[str, ...] = ()
    """The rules and functions that led here, outermost first, where it was more than the one."""
    least_bad: bool = False
    """Whether every target had something against it that passes (an open circuit, slowness) and the best of them was taken."""


class CacheVerdict(NamedTuple):
    """What the cache did. `key` is a digest: it tells two calls apart and tells nothing of their content."""

    verdict: Literal["hit", "miss", "stored", "shared", "bypassed", "not_stored", "error"]
    key: str = ""
    reason: str = ""
    age_s: float | None = None
    saved_usd: Decimal | None = None
    origin_trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class SemanticVerdict:
    """What the semantic cache did."""

    verdict: Literal["hit", "miss", "stored", "bypassed", "not_stored", "error"]
    similarity: float | None = None
    """Cosine of the question with the most similar one that is kept; None if there was none."""
    entry: str = ""
    """The id of the entry that was given, or made: an arbitrary number, it tells nothing of the content."""
    partition: str = ""
    """A digest of everything but the question: only calls of one partition are compared."""
    reason: str = ""
    age_s: float | None = None
    origin_trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class SemanticChecked:
    """A hit of the semantic cache that was checked against a real answer; a fact of the check's own call."""

    result: Literal["same", "different", "failed"]
    of_call_id: str
    entry: str
    similarity: float
    """Of the two questions."""
    answers: float | None = None
    """Cosine of the two answers, where they were compared by it."""


ToolOutcome = Literal["returned", "failed", "invalid", "unknown", "timeout"]
"""returned; raised; was called with arguments that it does not take; does not exist; took too long."""


@dataclass(frozen=True, slots=True)
class ToolRan:
    """One execution of a tool. `name` is one of the caller's own, or `unknown`; arguments and results are content, and not in it."""

    name: str
    call_id: str
    round: int
    outcome: ToolOutcome
    duration_s: float


@dataclass(frozen=True, slots=True)
class GuardrailVerdict:
    """What one rule said of one side of the call. `not_run` is said aloud, with the reason."""

    rule: str
    side: Literal["input", "output"]
    verdict: Literal["passed", "blocked", "redacted", "annotated", "would_block", "would_redact", "not_run"]
    count: int = 0
    reason: str = ""


class CostLine(NamedTuple):
    """One line of a bill: `tokens` at `usd_per_million`, or `units` (requests, searches ...) at a price each, make `amount_usd`."""

    item: str
    amount_usd: Decimal
    tokens: int = 0
    usd_per_million: Decimal | None = None
    units: int = 0
    attempt: int = 0
    """The number of the attempt that it is for; 0 where there is none."""


class Cost(NamedTuple):
    """What a call costs, with provenance. `amount_usd` None means unknown: an unknown price is never 0."""

    amount_usd: Decimal | None
    status: Literal["exact", "estimated", "unpriced"]
    lines: tuple[CostLine, ...] = ()
    wasted_usd: Decimal = Decimal(0)
    """Part of `amount_usd` that bought nothing: failed attempts."""
    saved_usd: Decimal = Decimal(0)
    """What a cache hit would have cost; not part of `amount_usd`."""
    price_table: str = ""
    """Name, version and date of the prices, or "override"."""
    usage_source: UsageSource = "missing"
    unpriced: tuple[str, ...] = ()
    """What had no price, as `vendor/model`."""
    anomalies: tuple[str, ...] = ()
    """Invariants of token counts that did not hold (`Usage.anomalies`); then the bill is an estimate."""


class SideCost(NamedTuple):
    """What a stage spent for a call beside the call's own attempts: it is on the call's bill, as lines of its own."""

    item: str
    """What the lines are called on the bill."""
    cost: Cost


@dataclass(frozen=True, slots=True)
class CostRange:
    """What a call would cost: from "no output at all" to "all the output that it allows"."""

    minimum_usd: Decimal | None
    """None: no price is known."""
    maximum_usd: Decimal | None
    """None: no price is known, or the request sets no limit to its output."""
    prompt_tokens: int
    """Estimated."""
    output_limit: int | None
    price_table: str = ""
    unpriced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Translation:
    """One parameter on its way into a vendor's request."""

    parameter: str
    action: Literal["kept", "renamed", "clamped", "emulated", "dropped"]
    reason: str = ""


TranslationPolicy = Literal["strict", "warn", "allow"]
"""What happens when a parameter is dropped or clamped: the call fails, it is logged once, it is only noted as a fact."""

TRANSLATION_POLICIES: tuple[TranslationPolicy, ...] = get_args(TranslationPolicy)


@dataclass(frozen=True, slots=True)
class CapturedContent:
    """Messages after redaction, as JSON text. Only ever made when content capture is switched on."""

    input_messages: str | None = None
    output_messages: str | None = None
    system_instructions: str | None = None
    tool_definitions: str | None = None


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """A stage could not reach its store of shared state."""

    stage: str
    error: str
    """The name of the backend's exception; its message may hold secrets."""
    policy: Literal["fail_open", "fail_closed"]
    """What became of the call: it went on without, or failed."""


LimitVerdict = Literal["passed", "waited", "refused", "would_refuse", "not_checked"]
"""There was room; after a wait; not in time; (of a dry run) there would be none; the store could not be asked, and the call passed."""


class Limited(NamedTuple):
    """What one limit said of a call."""

    limit: str
    unit: Literal["requests", "tokens"]
    verdict: LimitVerdict
    most: int
    """How many may pass in `per_s` seconds."""
    left: int
    """After this call."""
    per_s: float
    amount: int
    """What the call took, or needed: 1 request, or tokens by estimate."""
    waited_s: float = 0.0


BudgetVerdict = Literal["passed", "warned", "refused", "would_refuse", "unpriced", "not_checked"]
"""There was money; there was, and the warning's share is used; there was too little; (of a dry run) there would be; nobody knows what
the call costs, and it passed uncounted; the store could not be asked, and the call passed."""


class Budgeted(NamedTuple):
    """What one budget said of a call."""

    budget: str
    verdict: BudgetVerdict
    limit_usd: Decimal
    left_usd: Decimal
    """After the reservation."""
    reserved_usd: Decimal
    """The most that the call may cost, by estimate."""
    period: str


CircuitEvent = Literal["refused", "probe", "opened", "closed"]
"""The target is left alone; the call tries whether it is back; this call's failure was one too many; the target answers again."""


class CircuitNoted(NamedTuple):
    """What a circuit breaker did to a call, or learned from it. Nothing is noted while all is well."""

    target: str
    event: CircuitEvent
    failures: int
    """In a row."""


PoolVerdict = Literal["entered", "waited", "refused", "would_wait"]
"""There was a place; after a wait; none in time, or the queue was full; (of a dry run) there would be none at once."""


class Pooled(NamedTuple):
    """What a pool of places did to a call."""

    pool: str
    verdict: PoolVerdict
    waited_s: float = 0.0


class Deduplicated(NamedTuple):
    """What became of a call that identical ones may be under way with."""

    role: Literal["led", "followed", "alone"]
    """It asked for all; it got another's answer; it waited in vain, or the answer could not be had in its form, and asked for itself."""
    where: Literal["", "process", "store"] = ""
    """Whose answer it got: a call's of this process; one that was left in the store."""
    waited_s: float = 0.0


class Batched(NamedTuple):
    """How a call went out together with others."""

    role: Literal["sent", "joined", "alone", "together"]
    """It sent for all; another sent for it; it was sent for itself after all, for the whole was refused; it is a chat that went out when others did."""
    requests: int
    """Requests that went out as one, or at the same moment."""
    waited_s: float = 0.0
    sender: str = ""
    """The id of the call that sent, and that has the attempt and the bill of all."""


FaultKind = Literal[
    "rate_limit",
    "server_error",
    "overloaded",
    "timeout",
    "connection",
    "slow_first_chunk",
    "stall",
    "cut",
    "malformed_event",
    "error_event",
    "duplicate_chunk",
    "missing_usage",
    "truncated_tool_json",
    "wrong_content",
]
"""What `Faults` can do to a call."""


@dataclass(frozen=True, slots=True)
class FaultInjected:
    """A failure that was made on purpose: the vendor had no part in it."""

    fault: FaultKind
    rule: int
    """Which of the stage's rules, from 1; 0 for a fault that the call itself asked for."""
    target: str


ReplayVerdict = Literal["played", "missed", "passed", "recorded"]
"""Answered from the cassette; not in it, and refused; not in it, and sent on; sent on, and recorded."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a cassette did for one request to a vendor."""

    verdict: ReplayVerdict
    entry: int = 0
    """The recorded exchange that was played, from 1 in the cassette's order."""
    recorded_at_ns: int | None = None
    """When it was recorded, nanoseconds since 1970."""


DefaultAction = Literal["set", "forced", "capped"]
"""The request said nothing; it said something else; it said more than is allowed, or nothing where nothing is too much."""


class DefaultApplied(NamedTuple):
    """A field of the request that `Defaults` wrote."""

    field: str
    """A field's name, or `system`, `system_prefix`, `system_suffix`."""
    action: DefaultAction
    rule: str
    """The rule that said so; `own` for the stage's own values."""


ShadowRefusal = Literal["too_many", "money_spent", "unpriced"]
"""Why no shadow ran though the sample wanted one: too many were under way; its cap on cost; no price under a cap on cost."""


class ShadowBegun(NamedTuple):
    """A shadow that was wanted beside this call."""

    shadow: str
    call_id: str = ""
    """Of the shadow's own call; empty if it did not run."""
    refused: ShadowRefusal | Literal[""] = ""


ShadowVerdict = Literal["agreed", "differed", "would_refuse", "would_answer", "failed", "not_compared"]
"""The same answer; another one; it would have refused the call; it would have answered without asking; it failed; there was nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a shadow would have done; a fact of the shadow's own call."""

    shadow: str
    verdict: ShadowVerdict
    of_call_id: str
    """The call that it ran beside."""
    of_trace_id: str | None = None
    target: str = ""
    """Where it went, or would have gone."""
    differences: tuple[str, ...] = ()
    """In what: `text`, `tool_calls`, `finish_reason`, `answer`, `request`, `target`, or what a function of the user's own said."""
    reply_s: float | None = None
    """Seconds until it had its reply: the whole answer, of a stream the first chunk."""
    call_reply_s: float | None = None
    """The same of the call."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    call_completion_tokens: int | None = None
    cost_usd: Decimal | None = None
    """What the shadow cost; None: unknown. It is on nobody's bill."""
    call_cost_usd: Decimal | None = None
    error: Kind | None = None
    """Of a shadow that failed or would have refused."""


ATTEMPTS: Trail[Attempt] = Trail("attempts", "Requests sent to vendors.")
RETRIES: Trail[Retried] = Trail("retries", "Failed tries that were followed by another.")
RETRY_STOPS: Trail[RetryStopped] = Trail(
    "retry_stops", "Failed tries that might have passed and were not followed by another."
)
FALLBACKS: Trail[FellBack] = Trail("fallbacks", "Moves to another target.")
FALLBACK_SKIPS: Trail[FallbackSkipped] = Trail(
    "fallback_skips", "Targets that were not taken: the call had been there."
)
SPLICES: Trail[Spliced] = Trail("splices", "Streams that broke after output, and what became of them.")
HEDGES: Trail[Hedged] = Trail("hedges", "Second requests for slow ones.")
TOOLS: Trail[ToolRan] = Trail("tools", "Tools that ran before this call, and whose results it brings to the model.")
DEFAULTS: Trail[DefaultApplied] = Trail("defaults", "Fields of the request that defaults wrote.")
ROUTE: Slot[Route] = Slot("route", "Where the call was sent, and why.")
CACHE: Slot[CacheVerdict] = Slot("cache", "What the cache did.")
SEMANTIC: Slot[SemanticVerdict] = Slot("semantic_cache", "What the semantic cache did.")
SEMANTIC_CHECK: Slot[SemanticChecked] = Slot("semantic_check", "A hit, checked against a real answer.")
GUARDRAILS: Trail[GuardrailVerdict] = Trail("guardrails", "What each rule said.")
COST: Slot[Cost] = Slot("cost", "What the call costs.")
SIDE_COSTS: Trail[SideCost] = Trail("side_costs", "What stages spent beside the call's own attempts; in the bill.")
COST_RANGE: Slot[CostRange] = Slot("cost_range", "What the call would cost; in dry runs.")
TRANSLATION: Trail[Translation] = Trail("translation", "Parameters that a vendor takes differently.")
LIMITS: Trail[Limited] = Trail("limits", "What each limit of requests and tokens said.")
BUDGETS: Trail[Budgeted] = Trail("budgets", "What each budget said.")
CIRCUITS: Trail[CircuitNoted] = Trail("circuits", "What circuit breakers did.")
SHADOWS: Trail[ShadowBegun] = Trail("shadows", "Shadows that were wanted beside this call.")
SHADOW: Slot[Shadowed] = Slot("shadow", "What this shadow would have done.")
POOLS: Trail[Pooled] = Trail("pools", "What pools of places did.")
DEDUPLICATION: Slot[Deduplicated] = Slot("deduplication", "Whether the call asked for others, or got another's answer.")
BATCH: Slot[Batched] = Slot("batch", "How an embeddings call went out together with others.")
STORE_FAILURES: Trail[StoreFailed] = Trail("store_failures", "Stages that could not reach their store.")
FAULTS: Trail[FaultInjected] = Trail("faults", "Failures that were made on purpose.")
REPLAYS: Trail[Replayed] = Trail("replays", "What a cassette did.")
PAYLOAD: Slot[Mapping[str, Any]] = Slot("payload", "The vendor request that a dry run would have sent.")

PRIVATE: frozenset[str] = frozenset({"payload"})
"""Facts that hold content: they exist in dry runs only and go to the caller only."""


def given_again(facts: Mapping[str, Any]) -> CacheVerdict | SemanticVerdict | None:
    """The verdict of the cache that answered a call; None if a vendor did, or nobody."""
    semantic: SemanticVerdict | None = facts.get(SEMANTIC.name)
    if semantic is not None and semantic.verdict == "hit":
        return semantic
    exact: CacheVerdict | None = facts.get(CACHE.name)
    return exact if exact is not None and exact.verdict in ("hit", "shared") else None
