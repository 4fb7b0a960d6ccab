"""litellm's `acompletion`, as it comes."""

from __future__ import annotations

from typing import Any

import litellm
from measure import MESSAGES, MODEL, PARAMS

litellm.telemetry = False
litellm.suppress_debug_info = True


async def prepare(url: str, stream: bool) -> Any:
    """One call as its users write it."""
    where: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "sk-test", "messages": MESSAGES}

    async def unary() -> str:
        answer: Any = await litellm.acompletion(**where, **PARAMS)
        return answer.choices[0].message.content or ""

    async def streamed() -> str:
        chunks: Any = await litellm.acompletion(**where, stream=True, **PARAMS)
        return "".join([c.choices[0].delta.content or "" async for c in chunks if c.choices])

    return streamed if stream else unary
