"""The official openai SDK."""

from __future__ import annotations

from typing import Any

from measure import MESSAGES, MODEL, PARAMS
from openai import AsyncOpenAI


async def prepare(url: str, stream: bool) -> Any:
    """One call as its users write it."""
    client = AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=2)

    async def unary() -> str:
        answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES, **PARAMS)  # type: ignore[arg-type]
        return answer.choices[0].message.content or ""

    async def streamed() -> str:
        chunks = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **PARAMS)  # type: ignore[arg-type]
        return "".join([c.choices[0].delta.content or "" async for c in chunks if c.choices])  # type: ignore[union-attr]

    return streamed if stream else unary
