"""What becomes of one call's stream that breaks after output: whether it may be mended, by whom, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from ...pipeline.call import Call
from ...pipeline.errors import APIError, GlasswayError, Kind
from ...pipeline.facts import ATTEMPTS, FALLBACKS, SPLICES, Attempt, FellBack, Spliced, SpliceRefusal
from ...pipeline.outcome import Outcome
from ...pipeline.relay import relayed
from ...pipeline.stream import Reply, Stream
from ...pipeline.tokens import estimate_request_tokens, estimate_response_tokens
from ...pipeline.types import ChatRequest, ChatResponse, Message, Usage
from .joint import Begun, Continued, Restarted
from .targets import Cause, FallbackTarget, Search, cause_of

Mending = Literal["continue", "restart"]

Ask = Callable[[Call], Awaitable[Reply]]

INSTRUCTION = (
    "Your answer above was cut off by a technical fault. Go on exactly where it ends, in the middle of the word if it ends there. "
    "Repeat nothing of it, do not mention the fault, and begin with no introduction."
)


class How(NamedTuple):
    """The settings."""

    policy: Mending
    restart_under_tokens: int
    instruction: str


class Mender:
    """One call's streams, the first and those that go on behind it."""

    def __init__(self, how: How, search: Search, call: Call, ask: Ask) -> None:
        """`ask` sends a view of the call to the rest of the chain."""
        self._how = how
        self._search = search
        self._call = call
        self._ask = ask
        self._view = call
        self._attempt: Attempt | None = None
        self._parts: list[tuple[Attempt | None, ChatResponse]] = []
        self._chunks = 0
        self._joint: Continued | Restarted | None = None

    def watch(self, view: Call, first: Stream) -> Stream:
        """The stream, mended if it breaks. `view` is where it came from."""
        self._view = view
        self._attempt = _live(view)
        return relayed(self._call, first, self._go_on).when_done(self._close)

    async def _go_on(self, view: Call, failed: Stream, error: GlasswayError) -> Stream:
        if not self._search.covers(error.kind) or not self._take(failed):
            raise self._whole(error)
        begun = self._begun()
        refusal = self._refusal(begun)
        if refusal is not None:
            self._note(error.kind, begun, "", refusal)
            raise self._whole(error)
        return await self._follow(view, begun, error)

    def _take(self, failed: Stream) -> bool:
        """Add what the stream had handed out; false if this is not of a kind that can be mended."""
        outcome = failed.outcome
        response = outcome.response if outcome is not None else None
        if outcome is None or response is None:
            return bool(self._parts)  # it broke while all of it was held back
        if not isinstance(response, ChatResponse):
            return False
        if self._joint is not None and self._joint.supersedes:
            self._parts.clear()
        self._chunks += outcome.chunks
        self._parts.append((self._attempt, response))
        return True

    async def _follow(self, view: Call, begun: Begun, error: GlasswayError) -> Stream:
        """The first of the further targets that begins to answer."""
        cause: Cause = error.kind
        kind = error.kind
        source = self._view
        while (target := self._search.next(cause)) is not None and self._left() is None:
            self._call.add(FALLBACKS, FellBack(str(source.target), target.target, kind, "mid_stream"))
            source = self._request(view, target, begun)
            try:
                reply = await self._ask(source)
            except GlasswayError as again:
                cause, kind = cause_of(again), again.kind
                continue
            if isinstance(reply, Stream):
                return self._join(source, reply, begun, error)
        self._note(error.kind, begun, "", self._left() or "no_target")
        raise self._whole(error)

    def _join(self, source: Call, reply: Stream, begun: Begun, error: GlasswayError) -> Stream:
        self._note(error.kind, begun, str(source.target), "")
        came_from, self._view = str(self._view.target), source
        self._attempt = _live(source)
        mark = {
            "policy": self._how.policy,
            "from": came_from,
            "to": str(source.target),
            "characters": len(begun.text),
        }
        if self._how.policy == "continue":
            self._joint = Continued(begun, mark)
        else:
            self._joint = Restarted(begun, mark, only_text=_only_text(begun))
        return reply.map(self._joint.step, self._joint.flush)

    def _request(self, view: Call, target: FallbackTarget, begun: Begun) -> Call:
        """The call to this target, which asks for the rest, or for all of it again."""
        state = view.state
        kept, request = state.request, self._call.request
        if isinstance(request, ChatRequest) and self._how.policy == "continue" and begun.text.strip():
            request = _rest_of(request, begun, self._how.instruction)
        if target.params:
            request = request.but(**target.params)
        view = view.with_request(request)
        state.request = kept  # the caller's; the text so far is no part of what was asked
        return view.with_target(view.resolve(target.target)).because("fallback")

    def _begun(self) -> Begun:
        responses = [response for _, response in self._parts]
        attempt, first = self._parts[0]
        counted = attempt.usage if attempt is not None else None
        prompt = counted.prompt_tokens if counted is not None else 0
        model = self._view.target.model
        written = sum(estimate_response_tokens(response, model) for response in responses)
        usage = Usage(
            prompt_tokens=prompt or estimate_request_tokens(self._call.request, model) or 0,
            completion_tokens=written,
            prompt_tokens_details=counted.prompt_tokens_details if counted is not None else None,
        )
        text = "".join(response.text for response in responses)
        return Begun(first, text, any(response.reasoning for response in responses), usage)

    def _refusal(self, begun: Begun) -> SpliceRefusal | None:
        if not isinstance(self._call.request, ChatRequest):
            return "no_chat"
        response = self._parts[-1][1]
        if response.finish_reason is not None:
            return "finished"
        if self._how.policy == "restart":
            return "too_much_output" if begun.usage.completion_tokens > self._how.restart_under_tokens else self._left()
        return _not_to_continue(self._call.request, response) or self._left()

    def _left(self) -> SpliceRefusal | None:
        if self._call.remaining_s() == 0:
            return "no_time_left"
        return "attempt_budget_spent" if self._call.state.attempts_left <= 0 else None

    def _note(self, error: Kind, begun: Begun, target: str, refusal: SpliceRefusal | Literal[""]) -> None:
        said = Spliced(self._how.policy, str(self._view.target), target, error, self._chunks, len(begun.text), refusal)
        self._call.add(SPLICES, said)

    def _whole(self, error: GlasswayError) -> GlasswayError:
        """The error that the stream ends with; what had arrived is more than its own half."""
        if isinstance(error, APIError) and self._joint is not None:
            error.partial = None
        return error

    def _close(self, outcome: Outcome) -> None:
        """All halves of an answer that was given are of use."""
        if outcome.error is not None or self._how.policy == "restart":
            return
        for attempt, _ in self._parts:
            if attempt is not None:
                attempt.useful = True


def _live(view: Call) -> Attempt | None:
    """The request whose answer is being read."""
    return next((attempt for attempt in reversed(view.trail(ATTEMPTS)) if attempt.end_ns is None), None)


def _only_text(begun: Begun) -> bool:
    """Whether nothing but text of one choice had been handed out."""
    message = begun.response.message if begun.response.choices else Message(role="assistant")
    other = begun.reasoning or message.tool_calls or message.refusal or message.audio or message.reasoning_blocks
    return len(begun.response.choices) <= 1 and not other


def _not_to_continue(request: ChatRequest, response: ChatResponse) -> SpliceRefusal | None:
    if (request.n or 1) > 1 or len(response.choices) > 1:
        return "several_choices"
    if response.tool_calls:
        return "tool_call"
    if request.response_format is not None and request.response_format.type != "text":
        return "structured_output"
    message = response.message if response.choices else None
    return "other_output" if message is not None and (message.audio or message.refusal) else None


def _rest_of(request: ChatRequest, begun: Begun, instruction: str) -> ChatRequest:
    """The same conversation with the answer so far, and what is left of its output limit."""
    so_far = Message(role="assistant", content=begun.text)
    go_on = Message(role="user", content=instruction)
    name = "max_completion_tokens" if request.max_completion_tokens is not None else "max_tokens"
    limit = request.output_limit
    changes = {} if limit is None else {name: max(1, limit - begun.usage.completion_tokens)}
    return request.but(messages=(*request.messages, so_far, go_on), **changes)
