"""Callbacks: functions, plain or async, on start, chunk, success and failure, off the call's path."""

from __future__ import annotations

from glassway import Client, Pipeline, errors
from glassway.middlewares import Callbacks, CallEvent, Cost, Retry
from glassway.providers import Simulated


def log_success(event: CallEvent) -> None:
    """A plain function runs in a background thread."""
    print(f"success: {event.record.requested} ${event.record.cost_usd}, {event.record.usage.total_tokens} tokens")


async def log_failure(event: CallEvent) -> None:
    """An async one runs on the event loop. The record says what happened; it holds no prompt and no key."""
    record = event.record
    print(f"failure: {record.requested} ended {record.end} with {record.error} after {len(record.attempts)} attempts")


stack = Pipeline(
    [Callbacks(on_success=[log_success], on_failure=[log_failure]), Cost(), Retry(attempts=2, initial_s=0.05)],
    providers=[Simulated()],
)

with Client(stack) as client:
    client.chat("simulated/gpt-sim", "What is 6 * 7?")
    try:
        client.chat("simulated/gpt-sim@fail=server_error", "Hello")
    except errors.InternalServerError as error:
        print(f"raised:  {type(error).__name__}, whose move: {error.fault}, worth a retry: {error.retryable}")
# leaving `with` waits until every callback has been told
