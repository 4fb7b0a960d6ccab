"""Glassway with every stage on, metered, over httpx's own transport."""

from __future__ import annotations

from typing import Any

from measure import MESSAGES, MODEL, PARAMS

from glassway import Client, OpenAI, Pipeline
from glassway.middlewares import Cache, Callbacks, Cost, Fallback, Guardrails, Retry, Timeout, Tracing

TOLD: list[str] = []


def stages() -> list[Any]:
    """The stack of the README; every call misses the cache, so that the vendor is called."""
    return [
        Tracing(),
        Callbacks(
            on_success=[lambda event: TOLD.append(event.call_id) if len(TOLD) < 10 else None], queue_size=100_000
        ),
        Cost(),
        Guardrails(["secrets"]),
        Cache(ttl_s=60),
        Fallback(["openai/gpt-4.1-mini"]),
        Retry(attempts=3),
        Timeout(between_chunks_s=30),
    ]


def completion(client: Client, stream: bool) -> Any:
    """One call as users write it."""

    async def unary() -> str:
        reply = await client.acompletion(
            f"openai/{MODEL}", MESSAGES, cache={"no_cache": True, "no_store": True}, **PARAMS
        )
        return reply.text

    async def streamed() -> str:
        reply = await client.acompletion(
            f"openai/{MODEL}", MESSAGES, stream=True, cache={"no_cache": True, "no_store": True}, **PARAMS
        )
        return "".join([chunk.text async for chunk in reply])

    return streamed if stream else unary


def prepare_over(url: str, stream: bool, *, fast: bool) -> Any:
    """One call of a client with the full stack, over one of our own transports."""
    provider = OpenAI(api_key="sk-test", base_url=url, fast=fast)
    return completion(Client(Pipeline(stages(), providers=[provider])), stream)


async def prepare(url: str, stream: bool) -> Any:
    """A client with the full stack."""
    return prepare_over(url, stream, fast=False)
