"""The client's method that counts the tokens of a prompt before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

from .asking import Asking
from .call import NO_OPTIONS, CallOptions, Target
from .errors import BadRequestError
from .params import Params, chat_messages
from .portal import run_sync
from .tokens import estimate_request_tokens
from .types import ChatRequest, Message


class TokenCount(NamedTuple):
    """How many tokens a prompt has, and who says so."""

    tokens: int
    source: Literal["provider", "estimate"]
    """`provider`: the vendor's own endpoint counted it. `estimate`: made offline, and right within some 15 % at the median."""
    reason: str = ""
    """Of an estimate: why the vendor did not count."""


class Counting(Asking):
    """Methods of `Client`; see there for what all of them take and raise."""

    def count_tokens(
        self,
        model: str,
        messages: str | Sequence[Message | dict[str, Any]],
        *,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> TokenCount:
        """How many tokens a prompt has, tools included: asked of the vendor where it has an endpoint for that, else estimated.

        No stage sees it and nothing is generated; Anthropic, Gemini, Vertex AI and OpenAI count. What fails at such an endpoint
        (a key, a model, a connection) is raised as a call would, and never turned into an estimate.
        """
        return run_sync(self._count, self._prompt(model, messages, options, params))

    async def acount_tokens(
        self,
        model: str,
        messages: str | Sequence[Message | dict[str, Any]],
        *,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> TokenCount:
        """`count_tokens`, on the running event loop."""
        return await self._count(self._prompt(model, messages, options, params))

    def _prompt(self, model: str, messages: Any, options: CallOptions, params: dict[str, Any]) -> Params:
        asked = chat_messages(messages, None) if isinstance(messages, str) else messages
        return self._params(ChatRequest, model, {"messages": asked}, options, params)

    async def _count(self, params: Params) -> TokenCount:
        request, options = cast("ChatRequest", params.request), params.options
        target = Target.parse(request.model, self.pipeline.providers)
        provider = self.pipeline.providers.get(target.provider or "")
        count = getattr(provider, "count_tokens", None)
        if count is None:
            return _estimate(request, target, "this provider asks no vendor for counts")
        try:
            return TokenCount(await count(request.but(model=target.model), options), "provider")
        except BadRequestError as error:
            if error.status_code is not None:
                raise
            return _estimate(request, target, error.message)


def _estimate(request: ChatRequest, target: Target, reason: str) -> TokenCount:
    return TokenCount(estimate_request_tokens(request, target.model) or 0, "estimate", reason)
