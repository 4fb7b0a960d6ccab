"""Every example runs as a reader would run it, and prints what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

SAYS = {
    "administration.py": ("now: Tracing > Cost > Retry", "goes on as it began: call > Tracing > Cost > Cache > Retry", "failed after 3 attempts: server_error", "drained: True"),
    "batch.py": ("broken off: True", "the rest: 40 of 40, 1 failed, $", "True that earlier answers were kept", "failed: question-7", "40 lines in the order of the requests: ['question-0', 'question-1', 'question-2']"),
    "batch_stage.py": ("one request for 5 texts", "sent: 2 vectors, 8 tokens", "joined: 1 vectors", "tokens in all: ", "the shares: "),
    "callbacks.py": ("success: simulated/gpt-sim", "failure: simulated/gpt-sim@fail=server_error", "InternalServerError"),
    "circuit_breaker.py": ("1: backup/claude-sim after main/gpt-sim overloaded", "4: backup/claude-sim after nothing", "main/gpt-sim is open after 3 failures", "health: degraded, {'main/gpt-sim': 'open'}", "main/gpt-sim is closed", "back: main/gpt-sim"),
    "custom_stack.py": ("first: The capital of Italy is Rome.", "cache: stored", "cache: hit", "Retry"),
    "defaults.py": ("completed: temperature=0.2 max_tokens=400 user=team-a", "system: Be brief.", "temperature: set by own", "max_tokens: capped by free tier", "user: forced by own"),
    "deduplicate.py": ("led: $0.0001", "followed: $0", "one request was sent, for 5 calls", "another tenant asks for itself: led", "within the window: followed"),
    "embeddings.py": ("3 vectors of 256 numbers", "cache hit, $0", "nearest: the cat sleeps on the sofa", "5000 texts went out in 3 requests"),
    "fallback.py": ("#1 first: main/gpt-sim 503 overloaded", "#3 fallback: backup/claude-sim 200 ok", "moved from main/gpt-sim"),
    "faults.py": ("log: The stage Faults is on", "calm: The capital of Italy is Rome. after main rate_limited, main rate_limited, main ok", "outage: The capital of Italy is Rome. after main overloaded", "on purpose:", "streams: stream_interrupted"),
    "ledger.py": ("gpt-sim acme: 2 calls, $", "the replies' sum: True", "acme: 4 calls", "exported: 6 calls"),
    "hedge.py": ("call 5 was slow: hedge_won after 0.5 s", "bought nothing", "#1 first: cancelled", "#2 hedge: ok"),
    "limits.py": ("acme: passed, 2 left; reserved $0.001", "The limit 'each tenant' of 3 requests in 60 s is reached", "The budget 'house' is 0.01 USD a day", "house: 0.0096 of 0.01 USD left", "the second waited: True"),
    "mid_stream.py": ("A river begins as rain, gathers in the hills, and ends in the sea.\n", "main/gpt-sim broke (", "backup/claude-sim went on", "useful=True", "one answer: finish reason stop", "both are billed: $"),
    "own_middleware.py": ("WordLimit(warn_above=5)", "unary: The capital of Spain is Madrid.", "streamed: The capital", "words=6"),
    "pool.py": ("all: 2 of 2 in use, 4 waiting, pressure 70%", "after resize(6):", "0 waited", "drained: True", "refused: The pool 'all' is drained", "waited: 4 of 6"),
    "record_replay.py": ("recorded:\n  The capital of Italy is Rome. after ['rate_limited', 'ok'], $0.00012250", "3 exchanges, the key in them: False", "behind:\n  The capital of Italy is Rome. after ['rate_limited', 'ok'], $0.00012250", "the record says: played", "differs in: messages[0].content"),
    "routing.py": ("latency: quick/gpt-sim of", "rule: ('free users',) -> gpt-sim-mini", "function: ('by_task',) -> slow/gpt-sim", "one user stays: True", "explain: quick/gpt-sim by default"),
    "named_groups.py": ("smart: simulated/gpt-sim-mini by cost", "router: ", "with_fallback: simulated/gpt-sim-mini after server_error", "Retry()", "ready: True"),
    "run_tools.py": ("the model answers: The tool returned:", "round 1: get_weather returned", "2 calls, $"),
    "semantic_cache.py": ("What is the capital of Italy? -> stored", "-> hit, similarity 0.9", "-> stored, similarity 0.", "saved $", "the embedding on the bill: semantic_cache_embedding", "checked 1 hits: 0 wrong, between 0% and 79%"),
    "shadow.py": ("the caller got: The capital of Italy is Rome.", "beside/claude-sim: agreed", "on the call's bill: 1 request", "guardrails: agreed", "guardrails would_refuse: secrets blocked"),
    "shared_store.py": ("first: The capital of Spain is Madrid. (stored, $0.0001", "second: The capital of Italy is Rome. (hit, $0)", "second: The limit 'all/60s' of 3 requests", "second: 0.00951 USD left in the house"),
    "streaming.py": ("chunks, the first after", "finish reason stop"),
    "structured.py": ("Ticket(summary=", "city='Bergen'"),
    "tools.py": ('get_weather({"city":"Oslo"})', "the model answers: The tool returned:"),
}  # fmt: skip


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SAYS))
def test_example(name):
    ran = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    for part in SAYS[name]:
        assert part in ran.stdout
