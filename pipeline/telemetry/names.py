"""Every name that leaves the process as telemetry, declared once: spans, attributes, events, metrics, labels, buckets.

Docs, dashboards, alert rules and the conformance check are made of this table; nothing else spells a convention's name.
Source: https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai (g2)
Source: https://github.com/open-telemetry/semantic-conventions-genai (g3)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar, get_args

from ..errors import KINDS
from ..facts import (
    BudgetVerdict,
    CircuitEvent,
    DefaultAction,
    FaultKind,
    HedgeRefusal,
    HedgeResult,
    LimitVerdict,
    PoolVerdict,
    ReplayVerdict,
    RouteDecider,
    ShadowRefusal,
    ShadowVerdict,
    SpliceRefusal,
    StopReason,
    ToolOutcome,
)
from ..outcome import End
from ..types import Operation
from .schema import Attribute, Event, Generation, Label, Metric, SpanType

SCOPE: Final = "glassway"
SCHEMA_URLS: Mapping[Generation, str] = {
    "g2": "https://opentelemetry.io/schemas/1.41.0",
    "g3": "https://opentelemetry.io/schemas/gen-ai/1.42.0",
}

SPANS: Mapping[SpanType, str] = {
    "call": "One per call, CLIENT, named `{operation} {model}` (`chat gpt-4o-mini`). Covers retries, fallbacks and the whole stream. "
    "The only one with an operation name and token usage, so that backends which add up spans count once.",
    "stage": "One per stage at work, INTERNAL, named as the stage in the plan; a retry opens new ones for everything inside it. "
    "Self times over the call and its stages, and the consumer's time, add up to the call's duration.",
    "attempt": "One per request to a vendor, CLIENT, named by the HTTP method, under the provider's stage span.",
    "tool": "One per execution of a tool by `run_tools`, INTERNAL, named `execute_tool {name}`, under the span of the call that asked for it.",
}

OPERATIONS: Mapping[str, str] = {
    "chat": "chat",
    "embeddings": "embeddings",
    "image": "generate_content",
    "speech": "generate_content",
    "transcription": "generate_content",
    "moderation": "glassway.moderation",
    "rerank": "glassway.rerank",
}
"""Our operations in the convention's words; where it has none, ours with a prefix, as it asks."""

OUTPUT_TYPES: Mapping[str, str] = {"image": "image", "speech": "speech", "transcription": "text"}

PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""Our vendors' names in the convention's words, where they differ."""

EXECUTE_TOOL: Final = "execute_tool"
"""The convention's operation of a tool at work."""

INFERENCE: Final = frozenset({"chat", "generate_content"})
"""Operations that g3 counts as inference; it keeps the older duration metric for the others."""

_ENDS = frozenset(get_args(End))
_ALL: tuple[SpanType, ...] = ("call", "stage", "attempt")

# A table: one declaration a line.
# fmt: off
OPERATION = Attribute("gen_ai.operation.name", "string", "What is done.", ("call", "tool"), True, frozenset(OPERATIONS.values()) | {EXECUTE_TOOL})
PROVIDER = Attribute("gen_ai.provider.name", "string", "The vendor that answered, or that was asked last.", required=True)
REQUEST_MODEL = Attribute("gen_ai.request.model", "string", "The model as the vendor was asked for it.")
RESPONSE_MODEL = Attribute("gen_ai.response.model", "string", "The model that the vendor says answered.")
RESPONSE_ID = Attribute("gen_ai.response.id", "string", "The vendor's id of the answer.")
FINISH_REASONS = Attribute("gen_ai.response.finish_reasons", "string[]", "One per choice; `error` for one that was cut.")
FIRST_CHUNK = Attribute("gen_ai.response.time_to_first_chunk", "double", "Seconds from the call's start to the first chunk; streams only.")
CONVERSATION = Attribute("gen_ai.conversation.id", "string", "From the call's metadata; never made up.")
OUTPUT_TYPE = Attribute("gen_ai.output.type", "string", "Set where a format was asked for.", values=frozenset({"text", "json", "image", "speech"}))
CHOICE_COUNT = Attribute("gen_ai.request.choice.count", "int", "Set if it is not 1.")
SEED = Attribute("gen_ai.request.seed", "int", "As requested.")
STREAM = Attribute("gen_ai.request.stream", "bool", "Only ever true: absent for unary calls.")
TOP_K = Attribute("gen_ai.request.top_k", "int", "As requested.")
TOP_P = Attribute("gen_ai.request.top_p", "double", "As requested.")
TEMPERATURE = Attribute("gen_ai.request.temperature", "double", "As requested.")
MAX_TOKENS = Attribute("gen_ai.request.max_tokens", "int", "The output limit, as requested.")
FREQUENCY_PENALTY = Attribute("gen_ai.request.frequency_penalty", "double", "As requested.")
PRESENCE_PENALTY = Attribute("gen_ai.request.presence_penalty", "double", "As requested.")
STOP = Attribute("gen_ai.request.stop_sequences", "string[]", "As requested; only with content capture, for it is free text.")
REASONING_LEVEL = Attribute("gen_ai.request.reasoning.level", "string", "The reasoning effort, as requested.", generations=("g3",))
INPUT_TOKENS = Attribute("gen_ai.usage.input_tokens", "int", "Prompt tokens, those from and to the vendor's cache included.")
OUTPUT_TOKENS = Attribute("gen_ai.usage.output_tokens", "int", "Output tokens, reasoning included.")
CACHE_READ_TOKENS = Attribute("gen_ai.usage.cache_read.input_tokens", "int", "Part of the input that the vendor read from its cache.")
CACHE_WRITE_TOKENS = Attribute("gen_ai.usage.cache_write.input_tokens", "int", "Part of the input that the vendor wrote to its cache.")
REASONING_TOKENS = Attribute("gen_ai.usage.reasoning.output_tokens", "int", "Part of the output spent on reasoning.")
USAGE_COST = Attribute("gen_ai.usage.cost", "double", "US dollars, under the name that Langfuse reads; not in the convention.")
INPUT_MESSAGES = Attribute("gen_ai.input.messages", "string", "JSON, in the convention's schema; only with content capture.")
OUTPUT_MESSAGES = Attribute("gen_ai.output.messages", "string", "JSON, in the convention's schema; only with content capture.")
TOOL_DEFINITIONS = Attribute("gen_ai.tool.definitions", "string", "JSON; only with content capture.")
TOOL_NAME = Attribute("gen_ai.tool.name", "string", "One of the caller's own, or `unknown`.", ("tool",), True)
TOOL_CALL_ID = Attribute("gen_ai.tool.call.id", "string", "The model's id of the request for it.", ("tool",))
TOOL_OUTCOME = Attribute("glassway.tool.outcome", "string", "How it went.", ("tool",), True, frozenset(get_args(ToolOutcome)))
CONTENT_EVENT: Final = "gen_ai.client.inference.operation.details"

ERROR_TYPE = Attribute("error.type", "string", "The closed kind of the error; absent on success.", _ALL, values=KINDS)
SERVER_ADDRESS = Attribute("server.address", "string", "The vendor's host.", ("call", "attempt"))
SERVER_PORT = Attribute("server.port", "int", "The vendor's port.", ("call", "attempt"))
HTTP_METHOD = Attribute("http.request.method", "string", "The HTTP method.", ("attempt",))
HTTP_STATUS = Attribute("http.response.status_code", "int", "The HTTP status.", ("attempt",))
HTTP_RESEND = Attribute("http.request.resend_count", "int", "How many requests this call had sent before; absent on the first.", ("attempt",))
SPAN_KIND = Attribute("openinference.span.kind", "string", "What Phoenix and Langfuse show it as.", (*_ALL, "tool"), True, frozenset({"LLM", "EMBEDDING", "RERANKER", "CHAIN", "GUARDRAIL", "TOOL"}))

CALL_ID = Attribute("glassway.call.id", "string", "16 hex digits, also in logs and headers.", required=True)
REQUESTED = Attribute("glassway.requested", "string", "The model as the caller named it.", required=True)
END = Attribute("glassway.end", "string", "How the call ended.", required=True, values=_ENDS)
TENANT = Attribute("glassway.tenant", "string", "Whose call it is.")
TAGS = Attribute("glassway.tags", "string[]", "The caller's tags.")
METADATA = Attribute("glassway.metadata.*", "string", "Metadata keys that the Tracing stage lets through.")
BESIDE = Attribute("glassway.beside", "string", "The stage that made this call beside another, which it is linked to; absent on callers' calls. Its tokens are nobody's usage.")
KEPT = Attribute("glassway.kept", "string", "Why the trace was kept.", values=frozenset({"error", "blocked", "fallback", "slow", "cost", "ratio", "parent"}))
ATTEMPT_COUNT = Attribute("glassway.attempts", "int", "Requests sent to vendors.", required=True)
CHUNKS = Attribute("glassway.chunks", "int", "Chunks handed out; streams only.")
CONSUMER_S = Attribute("glassway.consumer_s", "double", "Seconds that the consumer of a stream took between chunks.")
SELF_S = Attribute("glassway.self_s", "double", "Seconds that it took itself: without what is inside it.", ("call", "stage"), True)
COST_USD = Attribute("glassway.cost.usd", "double", "US dollars, failed attempts included; absent where unknown.")
COST_STATUS = Attribute("glassway.cost.status", "string", "How sure the amount is.", values=frozenset({"exact", "estimated", "unpriced"}))
COST_WASTED = Attribute("glassway.cost.wasted_usd", "double", "The part that bought nothing.")
COST_TABLE = Attribute("glassway.cost.price_table", "string", "Name and version of the prices.")
COST_SOURCE = Attribute("glassway.cost.usage_source", "string", "Who counted the tokens.", values=frozenset({"provider", "partial", "tokenizer", "missing"}))
SAVED_USD = Attribute("glassway.saved.usd", "double", "What the cache hit would have cost.")
CACHE_VERDICT = Attribute("glassway.cache.verdict", "string", "What the gateway's cache did.", values=frozenset({"hit", "miss", "stored", "shared", "bypassed", "not_stored", "error"}))

STAGE_INDEX = Attribute("glassway.stage.index", "int", "The stage's place in the pipeline, from 0.", ("stage",), True)
ATTEMPT_NUMBER = Attribute("glassway.attempt.number", "int", "From 1, over retries, fallbacks and hedges.", ("attempt",), True)
ATTEMPT_REASON = Attribute("glassway.attempt.reason", "string", "Why it was made.", ("attempt",), True, frozenset({"first", "retry", "fallback", "hedge"}))
ATTEMPT_PROVIDER = Attribute("glassway.attempt.provider", "string", "The vendor that was asked.", ("attempt",), True)
ATTEMPT_MODEL = Attribute("glassway.attempt.model", "string", "The model that was asked for.", ("attempt",), True)
ATTEMPT_USEFUL = Attribute("glassway.attempt.useful", "bool", "Whether the caller's answer came from it.", ("attempt",), True)
ATTEMPT_REQUEST_ID = Attribute("glassway.attempt.request_id", "string", "The vendor's id, for its support desk.", ("attempt",))
ATTEMPT_INPUT = Attribute("glassway.attempt.input_tokens", "int", "Prompt tokens of this attempt, wasted or not.", ("attempt",))
ATTEMPT_OUTPUT = Attribute("glassway.attempt.output_tokens", "int", "Output tokens of this attempt, wasted or not.", ("attempt",))
ATTEMPT_CHUNKS = Attribute("glassway.attempt.chunks", "int", "Chunks received.", ("attempt",))
ATTEMPT_FIRST_CHUNK = Attribute("glassway.attempt.first_chunk_s", "double", "Seconds from sending to the first chunk.", ("attempt",))

RETRY_EVENT = Event("glassway.retry", "retries", "A failed try that was followed by another.", ("attempt", "error", "wait_s", "told_by"))
RETRY_STOP_EVENT = Event("glassway.retry_stop", "retry_stops", "A failed try that might have passed and was not followed by another.", ("attempt", "error", "reason"))
FALLBACK_EVENT = Event("glassway.fallback", "fallbacks", "The call moved on to another target.", ("source", "target", "error", "because"))
FALLBACK_SKIP_EVENT = Event("glassway.fallback_skip", "fallback_skips", "A target that was not taken: the call had been there.", ("target", "reason"))
SPLICE_EVENT = Event("glassway.splice", "splices", "A stream that broke after output, and what became of it.", ("policy", "source", "target", "error", "chunks", "characters", "reason"))
HEDGE_EVENT = Event("glassway.hedge", "hedges", "A second request for one that was slow, or why there was none.", ("target", "after_s", "result", "reason", "lost"))
DESHADOWS_EVENT = Event("glassway.shadow_begun", "shadows", "A shadow that was wanted beside this call.", ("shadow", "call_id", "refused"))
SHADOW_EVENT = Event("glassway.shadow", "shadow", "What this shadow would have done.", ("shadow", "verdict", "of_call_id", "of_trace_id", "target", "differences", "reply_s", "call_reply_s", "prompt_tokens", "completion_tokens", "call_completion_tokens", "cost_usd", "call_cost_usd", "error"))
FAULT_EVENT = Event("glassway.default", "defaults", "A field of the request that defaults wrote.", ("field", "action", "rule"))
ROUTE_EVENT = Event("glassway.route", "route", "Where the call was sent, and why.", ("route", "target", "decided_by", "strategy", "rest", "considered", "rules", "least_bad"))
CACHE_EVENT = Event("glassway.cache", "cache", "What the cache did.", ("verdict", "key", "reason", "age_s", "saved_usd", "origin_trace_id"))
SEMANTIC_EVENT = Event("glassway.semantic_cache", "semantic_cache", "What the semantic cache did.", ("verdict", "similarity", "entry", "partition", "reason", "age_s", "origin_trace_id"))
SEMANTIC_CHECK_EVENT = Event("glassway.semantic_check", "semantic_check", "A hit of the semantic cache, checked against a real answer.", ("result", "of_call_id", "entry", "similarity", "answers"))
GUARDRAIL_EVENT = Event("glassway.guardrail", "guardrails", "What one rule said.", ("rule", "side", "verdict", "count", "reason"))
TRANSLATION_EVENT = Event("glassway.translation", "translation", "A parameter that the vendor takes differently.", ("parameter", "action", "reason"))
LIMIT_EVENT = Event("glassway.limit", "limits", "What a limit of requests or tokens said.", ("limit", "unit", "verdict", "most", "left", "per_s", "amount", "waited_s"))
BUDGET_EVENT = Event("glassway.budget", "budgets", "What a budget said.", ("budget", "verdict", "limit_usd", "left_usd", "reserved_usd", "period"))
CIRCUIT_EVENT = Event("glassway.circuit", "circuits", "What a circuit breaker did.", ("target", "event", "failures"))
POOL_EVENT = Event("glassway.pool", "pools", "What a pool of places did.", ("pool", "verdict", "waited_s"))
DEDUPLICATION_EVENT = Event("glassway.deduplication", "deduplication", "Whether the call asked for others, or got another's answer.", ("role", "where", "waited_s"))
BATCH_EVENT = Event("glassway.batch", "batch", "How an embeddings call went out together with others.", ("role", "requests", "waited_s", "sender"))
STORE_EVENT = Event("glassway.store_failure", "store_failures", "A stage could not reach its store.", ("stage", "error", "policy"))
FAULT_EVENT = Event("glassway.fault", "faults", "A failure that was made on purpose: the vendor had no part in it.", ("fault", "rule", "target"))
REPLAY_EVENT = Event("glassway.replay", "replays", "What a cassette did for a request.", ("verdict", "entry", "recorded_at_ns"))
FACT_EVENT: Final = "glassway.fact"
"""Any other fact: the event is `glassway.fact.{slot}`, its attributes `glassway.fact.{slot}.{field}`."""

# The convention's buckets begin at 10 ms and end at 82 s: too coarse for our own share, too short for reasoning models.
_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(float(4**power) for power in range(14))
_CALL = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_SELF = (
    0.00001,
    0.000025,
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.05,
    0.25,
    1.0,
    5.0,
    30.0,
    120.0,
    600.0,
)
_GAP = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_COSINE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 0.999)

_FLAG = frozenset({"true", "false"})
OTHER: Final = "other"
"""The value of a bounded label beyond its limit."""
NONE: Final = "none"
"""The value of `provider` and `model` where no vendor was chosen."""

L_OPERATION = Label("operation", "What is done.", frozenset(get_args(Operation)))
L_PROVIDER = Label("provider", "The vendor that answered, or that was asked last.", limit=40)
L_MODEL = Label("model", "The model that was asked for.", limit=100)
L_END = Label("end", "How the call ended.", _ENDS)
L_ERROR = Label("error_type", "The closed kind of the error; empty on success.", KINDS | {""})
L_STREAM = Label("stream", "Whether a stream was asked for.", _FLAG)
L_TYPE = Label("type", "Which tokens. All but input and output are parts of those two.", frozenset({"input", "output", "cache_read", "cache_write", "reasoning"}))
L_USEFUL = Label("useful", "Whether the caller's answer came of it; false is waste.", _FLAG)
L_STATUS = Label("status", "How sure the amount is.", frozenset({"exact", "estimated", "unpriced"}))
L_STAGE = Label("stage", "The stage; `call` is the pipeline itself, `consumer` the time between a stream's chunks.", limit=60)
L_REASON = Label("reason", "Why the request was sent.", ATTEMPT_REASON.values)
L_TOLD_BY = Label("told_by", "Who set the wait.", frozenset({"backoff", "retry_after"}))
L_STOPPED = Label("reason", "Why no further try followed.", frozenset(get_args(StopReason)))
L_HEDGE = Label("result", "Which request answered first, if the second was sent.", frozenset(get_args(HedgeResult)))
L_UNHEDGED = Label("reason", "Why the second request was not sent; empty if it was.", frozenset(get_args(HedgeRefusal)) | {""})
L_SPLICE = Label("policy", "What was to become of the stream.", frozenset({"continue", "restart"}))
L_UNSPLICED = Label("reason", "Why nobody went on; empty if somebody did.", frozenset(get_args(SpliceRefusal)) | {""})
L_SOURCE = Label("source", "The target that failed.", limit=40)
L_TARGET = Label("target", "The target that was taken instead, or besides.", limit=40)
L_FIELD = Label("field", "The request's field.", limit=60)
L_DEFAULT = Label("action", "What was done with it.", frozenset(get_args(DefaultAction)))
L_ROUTE = Label("route", "The group, rule or function that decided; `caller` where nothing of the router held.", limit=40)
L_ROUTED = Label("target", "The target that was chosen.", limit=40)
L_DECIDED_BY = Label("decided_by", "What decided.", frozenset(get_args(RouteDecider)))
L_VERDICT = Label("verdict", "What the cache did.", CACHE_VERDICT.values)
L_SEMANTIC = Label("verdict", "What the semantic cache did.", frozenset({"hit", "miss", "stored", "bypassed", "not_stored", "error"}))
L_CHECKED = Label("result", "Whether the real answer says the same.", frozenset({"same", "different", "failed"}))
L_RULE = Label("rule", "The guardrail rule.", limit=60)
L_SIDE = Label("side", "Request or answer.", frozenset({"input", "output"}))
L_GUARD = Label("verdict", "What the rule said.", frozenset({"passed", "blocked", "redacted", "annotated", "would_block", "would_redact", "not_run"}))
L_DELIVERY = Label("outcome", "What became of it.", frozenset({"delivered", "dropped", "failed"}))
L_CASSETTE = Label("outcome", "What became of it.", frozenset({"written", "full", "failed", "dropped", "waiting"}))
L_LEDGER = Label("outcome", "What became of it.", frozenset({"written", "dropped", "waiting"}))
L_LIMIT = Label("limit", "The limit.", limit=40)
L_UNIT = Label("unit", "What it counts.", frozenset({"requests", "tokens"}))
L_LIMITED = Label("verdict", "What it said.", frozenset(get_args(LimitVerdict)))
L_BUDGET = Label("budget", "The budget.", limit=40)
L_BUDGETED = Label("verdict", "What it said.", frozenset(get_args(BudgetVerdict)))
L_CIRCUIT = Label("target", "The target, or the provider, of the circuit.", limit=40)
L_CIRCUIT_EVENT = Label("event", "What happened.", frozenset(get_args(CircuitEvent)))
L_POOL = Label("pool", "The pool.", limit=40)
L_POOLED = Label("verdict", "What it did.", frozenset(get_args(PoolVerdict)))
L_ROLE = Label("role", "What it did.", frozenset({"led", "followed", "alone"}))
L_BATCH = Label("role", "What it did.", frozenset({"sent", "joined", "alone", "together"}))
L_POLICY = Label("policy", "What became of the call.", frozenset({"fail_open", "fail_closed"}))
L_PARAMETER = Label("parameter", "The request's parameter.", limit=60)
L_ACTION = Label("action", "What was done with it.", frozenset({"kept", "renamed", "clamped", "emulated", "dropped"}))
L_ANOMALY = Label("anomaly", "The invariant that does not hold.", frozenset({"cached_exceeds_prompt", "reasoning_exceeds_completion", "total_is_not_the_sum", "negative"}))
L_FAULT = Label("fault", "What was done to the call.", frozenset(get_args(FaultKind)))
L_REPLAY = Label("verdict", "What the cassette did.", frozenset(get_args(ReplayVerdict)))
L_SHADOW = Label("shadow", "The shadow, by its name.", limit=20)
L_SHADOWED = Label("verdict", "What it would have done.", frozenset(get_args(ShadowVerdict)))
L_UNSHADOWED = Label("reason", "Why none ran.", frozenset(get_args(ShadowRefusal)))
L_SLOWER = Label("slower", "Which of the two had its reply later.", frozenset({"shadow", "call"}))
L_TENANT = Label("tenant", "Whose call it is.", limit=50)
L_TRACES = Label("outcome", "What became of kept traces.", frozenset({"exported", "failed", "dropped"}))
C_OPERATION = Label("gen_ai.operation.name", "The convention's operation.", frozenset(OPERATIONS.values()))
C_PROVIDER = Label("gen_ai.provider.name", "The convention's name of the vendor.", limit=40)
C_MODEL = Label("gen_ai.request.model", "The model that was asked for.", limit=100)
C_TOKENS = Label("gen_ai.token.type", "Input or output.", frozenset({"input", "output"}))
C_MODALITY = Label("gen_ai.token.modality", "Of the tokens.", frozenset({"text", "image", "audio", "unknown"}))
C_ERROR = Label("error.type", "The closed kind of the error; empty on success.", KINDS | {""})

_VENDOR = (L_PROVIDER, L_MODEL)
_COMMON = (C_OPERATION, C_PROVIDER, C_MODEL)

CALLS = Metric("glassway.calls", "counter", "{call}", "Calls that have ended.", (L_OPERATION, *_VENDOR, L_END, L_ERROR))
CALL_DURATION = Metric("glassway.call.duration", "histogram", "s", "Whole calls, streams to their end.", (L_OPERATION, *_VENDOR, L_STREAM), _CALL)
IN_FLIGHT = Metric("glassway.calls_in_flight", "gauge", "{call}", 'Calls that have not ended; with stream="true", open streams.', (L_STREAM,))
FIRST_CHUNK_S = Metric("glassway.first_chunk", "histogram", "s", "From the call's start to the first chunk; streams only.", _VENDOR, _CALL)
FIRST_CONTENT_S = Metric("glassway.first_content", "histogram", "s", "From the call's start to the first chunk with output; streams only.", _VENDOR, _CALL)
CHUNK_GAP = Metric("glassway.chunk_gap", "histogram", "s", "Between chunks, measured at the vendor's side.", _VENDOR, _GAP)
STAGE_SELF = Metric("glassway.stage.self", "histogram", "s", "What a stage took itself, once per call and stage; all stages sum up to the call's duration.", (L_STAGE,), _SELF)
ATTEMPTS_SENT = Metric("glassway.attempts", "counter", "{attempt}", "Requests sent to vendors.", (*_VENDOR, L_REASON, L_ERROR), fact="attempts")
ATTEMPT_DURATION = Metric("glassway.attempt.duration", "histogram", "s", "From sending to the end of the body.", _VENDOR, _CALL, "attempts")
TOKENS = Metric("glassway.tokens", "counter", "{token}", "Tokens that vendors counted.", (*_VENDOR, L_TYPE, L_USEFUL), fact="attempts")
ANOMALIES = Metric("glassway.usage_anomalies", "counter", "{call}", "Token counts that contradict themselves.", (L_PROVIDER, L_ANOMALY), fact="attempts")
COST = Metric("glassway.cost_usd", "counter", "{USD}", "US dollars spent.", (*_VENDOR, L_USEFUL, L_STATUS), fact="cost")
SAVED = Metric("glassway.saved_usd", "counter", "{USD}", "US dollars that cache hits did not cost.", _VENDOR, fact="cost")
UNPRICED = Metric("glassway.unpriced_calls", "counter", "{call}", "Calls whose cost is unknown, in whole or in part.", _VENDOR, fact="cost")
RETRIES = Metric("glassway.retries", "counter", "{retry}", "Failed tries that were followed by another.", (*_VENDOR, L_ERROR, L_TOLD_BY), fact="retries")
RETRY_WAIT = Metric("glassway.retry_wait", "counter", "s", "Time that retries waited.", (L_TOLD_BY,), fact="retries")
RETRY_STOPS = Metric("glassway.retry_stops", "counter", "{stop}", "Failed tries that might have passed and were not followed by another.", (*_VENDOR, L_ERROR, L_STOPPED), fact="retry_stops")
SPLICES = Metric("glassway.splices", "counter", "{splice}", "Streams that broke after output, mended or not.", (L_SPLICE, L_SOURCE, L_ERROR, L_UNSPLICED), fact="splices")
HEDGES = Metric("glassway.hedges", "counter", "{hedge}", "Second requests for slow ones, sent or not.", (L_TARGET, L_HEDGE, L_UNHEDGED), fact="hedges")
HEDGE_WASTE = Metric("glassway.hedge_waste_usd", "counter", "{USD}", "US dollars for requests that lost against another; part of what is wasted.", (L_TARGET,), fact="hedges")
FALLBACKS = Metric("glassway.fallbacks", "counter", "{fallback}", "Moves to another target.", (L_SOURCE, L_TARGET, L_ERROR, L_END), fact="fallbacks")
DEFAULTS = Metric("glassway.defaults_applied", "counter", "{field}", "Fields of requests that defaults wrote.", (L_FIELD, L_DEFAULT), fact="defaults")
ROUTES = Metric("glassway.route_decisions", "counter", "{call}", "Targets that routers chose.", (L_ROUTE, L_ROUTED, L_DECIDED_BY), fact="route")
CACHE = Metric("glassway.cache_verdicts", "counter", "{call}", "What the cache did.", (L_VERDICT,), fact="cache")
SEMANTIC = Metric("glassway.semantic_cache_verdicts", "counter", "{call}", "What the semantic cache did.", (L_SEMANTIC,), fact="semantic_cache")
SEMANTIC_SIMILARITY = Metric("glassway.semantic_similarity", "histogram", "1", "Cosine of a question with the most similar one that is kept.", (L_SEMANTIC,), _COSINE, "semantic_cache")
SEMANTIC_CHECKS = Metric("glassway.semantic_checks", "counter", "{check}", "Hits of the semantic cache that were checked against a real answer.", (L_CHECKED,), fact="semantic_check")
SEMANTIC_ENTRIES = Metric("glassway.semantic_entries", "gauge", "{entry}", "Entries in the indexes of semantic caches.", at_scrape=True)
GUARDRAILS = Metric("glassway.guardrail_verdicts", "counter", "{verdict}", "What the rules said.", (L_RULE, L_SIDE, L_GUARD), fact="guardrails")
CALLBACKS = Metric("glassway.callbacks", "counter", "{event}", "Events for callbacks, and exchanges for Record, by what became of them; with those that wait they sum up to all.", (L_DELIVERY,), at_scrape=True)
CALLBACKS_WAITING = Metric("glassway.callbacks_waiting", "gauge", "{event}", "Events that wait for a callback.", at_scrape=True)
CASSETTE = Metric("glassway.cassette_exchanges", "gauge", "{exchange}", "Exchanges for Record by what became of them, since the process began.", (L_CASSETTE,), at_scrape=True)
LEDGER_CALLS = Metric("glassway.ledger_calls", "gauge", "{call}", "Calls for the ledger by what became of them, since the process began.", (L_LEDGER,), at_scrape=True)
LIMITS = Metric("glassway.limit_verdicts", "counter", "{verdict}", "What limits of requests and tokens said.", (L_LIMIT, L_UNIT, L_LIMITED), fact="limits")
LIMIT_WAIT = Metric("glassway.limit_wait", "counter", "s", "Time that calls waited for a limit.", (L_LIMIT,), fact="limits")
LIMIT_WAITING = Metric("glassway.limit_waiting", "gauge", "{call}", "Calls that wait for a limit.", at_scrape=True)
BUDGETS = Metric("glassway.budget_verdicts", "counter", "{verdict}", "What budgets said.", (L_BUDGET, L_BUDGETED), fact="budgets")
BUDGET_USED = Metric("glassway.budget_used_usd", "gauge", "{USD}", "US dollars used or reserved in this period of budgets that all calls share, as last seen.", (L_BUDGET,), at_scrape=True)
CIRCUITS = Metric("glassway.circuit_events", "counter", "{event}", "What circuit breakers did.", (L_CIRCUIT, L_CIRCUIT_EVENT), fact="circuits")
CIRCUIT_STATE = Metric("glassway.circuit_state", "gauge", "1", "Circuits: 0 closed, 1 half-open, 2 open.", (L_CIRCUIT,), at_scrape=True)
POOLS = Metric("glassway.pool_verdicts", "counter", "{call}", "What pools of places did.", (L_POOL, L_POOLED), fact="pools")
POOL_WAIT = Metric("glassway.pool_wait", "counter", "s", "Time that calls waited for a place in a pool.", (L_POOL,), fact="pools")
POOL_IN_USE = Metric("glassway.pool_in_use", "gauge", "{call}", "Places in use.", (L_POOL,), at_scrape=True)
POOL_WAITING = Metric("glassway.pool_waiting", "gauge", "{call}", "Calls that wait for a place.", (L_POOL,), at_scrape=True)
POOL_SIZE = Metric("glassway.pool_size", "gauge", "{place}", "Places.", (L_POOL,), at_scrape=True)
DEDUPLICATION = Metric("glassway.deduplicated_calls", "counter", "{call}", "Calls that asked for others, or got another's answer.", (L_ROLE,), fact="deduplication")
BATCH = Metric("glassway.batched_calls", "counter", "{call}", "Embeddings calls that went out together with others.", (L_BATCH,), fact="batch")
STORE_FAILURES = Metric("glassway.store_failures", "counter", "{failure}", "Stages that could not reach their store of shared state.", (L_STAGE, L_POLICY), fact="store_failures")
TRANSLATIONS = Metric("glassway.translations", "counter", "{parameter}", "Parameters that vendors take differently.", (L_PROVIDER, L_PARAMETER, L_ACTION), fact="translation")
FAULTS = Metric("glassway.faults_injected", "counter", "{fault}", "Failures that were made on purpose: not the vendor's.", (L_FAULT,), fact="faults")
REPLAYS = Metric("glassway.replays", "counter", "{request}", "Requests to vendors that a cassette stood in for, or did not.", (L_REPLAY,), fact="replays")
SHADOW_RUNS = Metric("glassway.shadow_verdicts", "counter", "{shadow}", "Shadows that have ended, by what they would have done.", (L_SHADOW, L_SHADOWED), fact="shadow")
SHADOW_DROPS = Metric("glassway.shadows_dropped", "counter", "{shadow}", "Shadows that the sample wanted and that did not run.", (L_SHADOW, L_UNSHADOWED), fact="shadows")
SHADOW_GAP = Metric("glassway.shadow_reply_gap", "histogram", "s", "How much later the slower of shadow and call had its reply (of a stream, its first chunk).", (L_SHADOW, L_SLOWER), _CALL, "shadow")
SHADOW_COST = Metric("glassway.shadow_cost_usd", "counter", "{USD}", "US dollars spent by shadows; in no other metric and on no bill.", (L_SHADOW,), fact="shadow")
SHADOWS_RUNNING = Metric("glassway.shadows_running", "gauge", "{shadow}", "Shadows under way.", (L_SHADOW,), at_scrape=True)
TENANT_CALLS = Metric("glassway.tenant_calls", "counter", "{call}", "Calls by tenant, for calls that name one.", (L_TENANT, L_END))
TENANT_COST = Metric("glassway.tenant_cost_usd", "counter", "{USD}", "US dollars by tenant.", (L_TENANT,), fact="cost")
OBSERVER_FAILURES = Metric("glassway.observer_failures", "counter", "{failure}", "Observers of outcomes that raised; the calls went on.", at_scrape=True)
QUEUE_DEPTH = Metric("glassway.telemetry.queue_depth", "gauge", "{trace}", "Kept traces that wait for export.", at_scrape=True)
TRACES = Metric("glassway.telemetry.traces", "counter", "{trace}", "Kept traces by what became of them; with the queue's depth they sum up to all kept.", (L_TRACES,), at_scrape=True)

G2_DURATION = Metric("gen_ai.client.operation.duration", "histogram", "s", "The convention's duration (g3: of operations other than inference).", (*_COMMON, C_ERROR), _DURATION)
G2_TOKENS = Metric("gen_ai.client.token.usage", "histogram", "{token}", "Tokens per call.", (*_COMMON, C_TOKENS), _TOKENS, generations=("g2",))
G2_FIRST = Metric("gen_ai.client.operation.time_to_first_chunk", "histogram", "s", "Streams only.", _COMMON, _DURATION, generations=("g2",))
G2_GAP = Metric("gen_ai.client.operation.time_per_output_chunk", "histogram", "s", "Streams only.", _COMMON, _DURATION, generations=("g2",))
G3_DURATION = Metric("gen_ai.client.inference.duration", "histogram", "s", "The convention's duration.", (*_COMMON, C_ERROR), _DURATION, generations=("g3",))
G3_FIRST = Metric("gen_ai.client.inference.time_to_first_chunk", "histogram", "s", "Streams only.", _COMMON, _DURATION, generations=("g3",))
G3_GAP = Metric("gen_ai.client.inference.time_per_output_chunk", "histogram", "s", "Streams only.", _COMMON, _DURATION, generations=("g3",))
_USAGE = "gen_ai.client.inference.usage"
G3_INPUT = Metric(f"{_USAGE}.input_tokens", "counter", "{token}", "Input tokens.", (*_COMMON, C_MODALITY), generations=("g3",))
G3_OUTPUT = Metric(f"{_USAGE}.output_tokens", "counter", "{token}", "Output tokens.", (*_COMMON, C_MODALITY), generations=("g3",))
G3_CACHE_READ = Metric(f"{_USAGE}.cache_read.input_tokens", "counter", "{token}", "Part of the input.", (*_COMMON, C_MODALITY), generations=("g3",))
G3_CACHE_WRITE = Metric(f"{_USAGE}.cache_write.input_tokens", "counter", "{token}", "Part of the input.", (*_COMMON, C_MODALITY), generations=("g3",))
G3_REASONING = Metric(f"{_USAGE}.reasoning.output_tokens", "counter", "{token}", "Part of the output.", (*_COMMON, C_MODALITY), generations=("g3",))
G3_INPUT_SIZE = Metric("gen_ai.client.inference.operation.input_tokens", "histogram", "{token}", "Input tokens per call.", (*_COMMON, C_ERROR), _TOKENS, generations=("g3",))
G3_OUTPUT_SIZE = Metric("gen_ai.client.inference.operation.output_tokens", "histogram", "{token}", "Output tokens per call.", (*_COMMON, C_ERROR), _TOKENS, generations=("g3",))
# fmt: on

Declared = TypeVar("Declared", Attribute, Event, Metric)


def _declared(kind: type[Declared], values: Iterable[object]) -> dict[str, Declared]:
    return {value.name: value for value in values if isinstance(value, kind)}


ATTRIBUTES: Mapping[str, Attribute] = _declared(Attribute, list(globals().values()))
EVENTS: Mapping[str, Event] = _declared(Event, list(globals().values()))
EVENT_OF_FACT: Mapping[str, Event] = {event.fact: event for event in EVENTS.values()}
METRICS: Mapping[str, Metric] = _declared(Metric, list(globals().values()))


def metrics_of(facts: Sequence[str]) -> tuple[str, ...]:
    """The metrics that are made of these facts, by their Prometheus names."""
    return tuple(metric.prometheus for metric in METRICS.values() if metric.fact in facts)


def attribute_of(name: str) -> Attribute | None:
    """The declaration behind an attribute's name, wildcards included; None if nobody declared it."""
    if name in ATTRIBUTES:
        return ATTRIBUTES[name]
    return next(
        (each for each in ATTRIBUTES.values() if each.name.endswith("*") and name.startswith(each.name[:-1])), None
    )
