"""The guardrails stage: requests and answers, whole and streamed, judged by rules that pass, redact, block or fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from glassway.middlewares.cache import Cache
from glassway.middlewares.guardrails import PII, Check, DenyList, Guardrails, JSONSchema, MaxLength, Regex, Secrets
from glassway.middlewares.guardrails.texts import strings_of, texts_of
from glassway.pipeline.call import Call, CallOptions
from glassway.pipeline.errors import ConfigError, GuardrailViolation, PlanError, StreamInterruptedError
from glassway.pipeline.facts import GUARDRAILS, GuardrailVerdict
from glassway.pipeline.pipeline import Pipeline
from glassway.pipeline.stream import Handler, Reply, Stream
from glassway.pipeline.types import (
    ChatChunk,
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    Delta,
    EmbeddingsRequest,
    FunctionDelta,
    ReasoningDelta,
    Request,
    ToolCallDelta,
    assemble_chat,
)
from glassway.testing import FakeClock, FakeProvider, Scripted, scripted_tool_call

pytestmark = pytest.mark.anyio

MAIL = "ann@example.com"
KEY = "sk-proj-canary123456789012345678"


def ask(text: str = "Hello", **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "fake/m", "messages": [{"role": "user", "content": text}]} | fields)


class Bench:
    """A stage in front of a scripted provider, and what became of its calls."""

    def __init__(self, stage: Guardrails, *answers: Any, clock: FakeClock | None = None) -> None:
        self.provider = FakeProvider(answers or (Scripted(),))
        self.call: Call | None = None

        async def note(call: Call, call_next: Handler) -> Reply:
            self.call = call
            return await call_next(call)

        self.pipeline = Pipeline([note, stage], self.provider, clock=clock or FakeClock())

    async def send(self, request: Request | None = None, *, stream: bool = False, **options: Any) -> Any:
        """The whole response."""
        reply = await self.pipeline.send(request or ask(stream=stream), CallOptions(**options))
        return await reply.response() if isinstance(reply, Stream) else reply

    async def refused(self, request: Request | None = None, *, stream: bool = False) -> GuardrailViolation:
        with pytest.raises(GuardrailViolation) as caught:
            await self.send(request, stream=stream)
        return caught.value

    @property
    def verdicts(self) -> list[GuardrailVerdict]:
        assert self.call is not None
        return list(self.call.trail(GUARDRAILS))

    @property
    def asked(self) -> Any:
        return self.provider.calls[-1].request


def short(verdicts: list[GuardrailVerdict]) -> list[tuple[str, str, str, int]]:
    return [(verdict.rule, verdict.side, verdict.verdict, verdict.count) for verdict in verdicts]


both = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


# requests


async def test_what_is_found_in_a_request_does_not_go_on() -> None:
    bench = Bench(Guardrails(["pii"]))
    await bench.send(ask(f"Mail {MAIL} and 4111 1111 1111 1111"))
    assert bench.asked.messages[0].content == "Mail [REDACTED:email] and [REDACTED:credit_card]"
    assert bench.verdicts[0] == GuardrailVerdict("pii", "input", "redacted", 2, "credit_card 1, email 1")
    assert bench.verdicts[1] == GuardrailVerdict("pii", "output", "passed")


async def test_every_text_of_a_request_is_judged() -> None:
    messages = [
        {"role": "system", "content": f"s {MAIL}"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": f"u {MAIL}"},
                {"type": "image_url", "image_url": {"url": "https://x"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": f"r {MAIL}",
            "refusal": f"f {MAIL}",
            "reasoning_blocks": [
                {"text": f"b {MAIL}", "signature": "s"},
                {"text": "kept", "signature": "t"},
                {"type": "redacted_thinking", "data": "d"},
            ],
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": MAIL})}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": f"t {MAIL}"},
    ]
    bench = Bench(Guardrails(["pii"]))
    await bench.send(ask(messages=messages))
    assert MAIL not in bench.asked.model_dump_json()
    assert bench.verdicts[0].count == 7
    assistant = bench.asked.messages[2]
    assert json.loads(assistant.tool_calls[0].function.arguments) == {"to": "[REDACTED:email]"}
    assert [block.signature for block in assistant.reasoning_blocks] == ["t", None], (
        "a signed block cannot be changed, so it is taken out"
    )


async def test_a_request_without_findings_goes_on_as_it_is() -> None:
    bench, request = Bench(Guardrails(["pii", "secrets"])), ask("nothing here", unknown=1)
    await bench.send(request)
    assert bench.asked is request


async def test_a_blocked_request_is_never_sent_and_the_error_does_not_repeat_it() -> None:
    bench = Bench(Guardrails([Secrets(action="block")]))
    error = await bench.refused(ask(f"my key is {KEY}"))
    assert (error.rule, error.kind, error.retryable) == ("secrets", "guardrail_blocked", False)
    assert KEY not in repr(error) + str(error) + repr(bench.verdicts) + repr(error.record)
    assert not bench.provider.calls
    assert short(bench.verdicts) == [("secrets", "input", "blocked", 1)]


async def test_all_rules_for_stretches_are_told_of_even_when_one_blocks() -> None:
    bench = Bench(Guardrails([DenyList(("bomb",)), PII(), Check(lambda text: True, name="mine")]))
    await bench.refused(ask(f"bomb {MAIL}"))
    assert short(bench.verdicts) == [
        ("deny_list", "input", "blocked", 1),
        ("pii", "input", "redacted", 1),
        ("mine", "input", "not_run", 0),
    ]


class Embed(Request):
    operation = "embeddings"
    input: str | list[str]


async def test_texts_of_other_operations_are_judged() -> None:
    bench = Bench(Guardrails(["pii"]))
    await bench.send(Embed(model="fake/m", input=["a", MAIL]))
    assert bench.asked.input == ["a", "[REDACTED:email]"]


# answers


@both
async def test_what_is_found_in_an_answer_does_not_come_out(stream: bool) -> None:
    bench = Bench(Guardrails(["pii"]), Scripted(f"Write to {MAIL} or call +1 415 555 2671 now."))
    response = await bench.send(stream=stream)
    assert response.text == "Write to [REDACTED:email] or call [REDACTED:phone] now."
    assert short(bench.verdicts)[1] == ("pii", "output", "redacted", 2)
    assert response.usage is not None
    assert response.finish_reason == "stop"


@both
async def test_a_blocked_answer_does_not_come_out(stream: bool) -> None:
    bench = Bench(Guardrails([Secrets(action="block")]), Scripted(f"The key is {KEY} here."))
    error = await bench.refused(stream=stream)
    assert error.rule == "secrets"
    assert KEY not in repr(error) + repr(error.record)
    assert short(bench.verdicts)[1] == ("secrets", "output", "blocked", 1)
    assert bench.provider.open_streams == 0


@pytest.mark.parametrize("block", [1, 7, 1000])
async def test_no_character_of_a_blocked_finding_comes_out_of_a_stream_and_all_before_it_does(block: int) -> None:
    pieces = [text(piece) for piece in "The key is sk-proj-canary123456789012345678 here."]
    provider = Chunks([*pieces, finish()], block=block)
    stream = await Pipeline([Guardrails([Secrets(action="block")])], provider).send(ask(stream=True))
    assert isinstance(stream, Stream)
    out = ""
    with pytest.raises(GuardrailViolation):  # noqa: PT012 - what came before counts
        async for chunk in stream:
            out += chunk.text
    assert out == "The key is "


@both
async def test_tool_call_arguments_of_an_answer_are_judged(stream: bool) -> None:
    script = Scripted(
        "x",
        tool_calls=[scripted_tool_call("f", json.dumps({"a": MAIL})), scripted_tool_call("g", "{}", id="2")],
        finish_reason="tool_calls",
    )
    response = await Bench(Guardrails(["pii"]), script).send(stream=stream)
    assert [call.function.arguments for call in response.tool_calls] == ['{"a": "[REDACTED:email]"}', "{}"]
    assert [call.id for call in response.tool_calls] == ["call_1", "2"]


@both
async def test_shadow_rules_change_nothing_and_tell_what_they_would_have_done(stream: bool) -> None:
    answer = f"{MAIL} and {KEY}"
    bench = Bench(
        Guardrails([PII(shadow=True), Secrets(shadow=True, action="block"), Regex("and", action="annotate")]),
        Scripted(answer),
    )
    response = await bench.send(ask(answer, stream=stream))
    assert bench.asked.messages[0].content == response.text == answer
    told = [("pii", "would_redact", 1), ("secrets", "would_block", 1), ("regex", "annotated", 1)]
    assert [(verdict.rule, verdict.verdict, verdict.count) for verdict in bench.verdicts] == told * 2


async def test_shadow_rules_hold_nothing_back() -> None:
    provider = Chunks([text("ab"), text("c"), finish()])
    stream = await Pipeline([Guardrails([PII(shadow=True), MaxLength(1, shadow=True)])], provider).send(
        ask(stream=True)
    )
    assert [chunk.text async for chunk in stream] == ["ab", "c", ""]  # type: ignore[union-attr]


@both
async def test_rules_look_at_their_side_only(stream: bool) -> None:
    bench = Bench(Guardrails([PII(side="input")]), Scripted(MAIL))
    assert (await bench.send(ask(MAIL, stream=stream))).text == MAIL
    assert short(bench.verdicts) == [("pii", "input", "redacted", 1)]


@both
async def test_a_length_can_be_bounded(stream: bool) -> None:
    bench = Bench(Guardrails([MaxLength(10, side="output")]), Scripted("word " * 10))
    assert (await bench.refused(stream=stream)).rule == "max_length"


async def test_a_stream_that_is_too_long_is_cut_off_at_once() -> None:
    bench = Bench(Guardrails([MaxLength(10, side="output")]), Scripted("word " * 1000, gap_s=1))
    await bench.refused(stream=True)
    assert bench.provider.calls[0].attempt.chunks == 4  # type: ignore[union-attr]


# rules for whole texts


SCHEMA = {"type": "object", "required": ["a"]}


@both
@pytest.mark.parametrize(("answer", "ok"), [('{"a": 1}', True), ('{"b": 1}', False), ("no json", False)])
async def test_an_answer_can_be_held_to_a_schema(stream: bool, answer: str, ok: bool) -> None:
    bench = Bench(Guardrails([JSONSchema(SCHEMA)]), Scripted(answer))
    if ok:
        assert (await bench.send(stream=stream)).text == answer
    else:
        assert (await bench.refused(stream=stream)).rule == "json_schema"
    assert bench.verdicts[-1].verdict == ("passed" if ok else "blocked")


async def test_a_buffered_stream_comes_out_with_its_own_chunks_once_it_is_judged() -> None:
    script = Scripted('{"a": [1, 2, 3]}')
    reply = await Bench(Guardrails([JSONSchema(SCHEMA)]), script).pipeline.send(ask(stream=True))
    assert "".join([chunk.text async for chunk in reply]) == '{"a": [1, 2, 3]}'  # type: ignore[union-attr]


async def test_nothing_of_a_buffered_stream_comes_out_before_it_is_judged() -> None:
    reply = await Bench(Guardrails([JSONSchema(SCHEMA)]), Scripted("not json")).pipeline.send(ask(stream=True))
    chunks = []
    with pytest.raises(GuardrailViolation):  # noqa: PT012 - as above
        async for chunk in reply:  # type: ignore[union-attr]
            chunks.append(chunk)
    assert not chunks


async def test_a_stream_can_be_let_through_unjudged_and_says_so() -> None:
    bench = Bench(Guardrails([JSONSchema(SCHEMA)], streams="not_run"), Scripted("not json"))
    assert (await bench.send(stream=True)).text == "not json"
    assert bench.verdicts == [GuardrailVerdict("json_schema", "output", "not_run", 0, "not on streams, by setting")]


async def later(verdict: Any) -> Any:
    await asyncio.sleep(0)
    return verdict


@both
@pytest.mark.parametrize("wait", [False, True], ids=["function", "coroutine"])
async def test_a_function_can_pass_block_and_rewrite(stream: bool, wait: bool) -> None:
    def rule(verdict: Any) -> Guardrails:
        return Guardrails([Check(lambda _: later(verdict) if wait else verdict, side="output", name="mine")])

    assert (await Bench(rule(True)).send(stream=stream)).text == (await Bench(rule(None)).send(stream=stream)).text
    assert (await Bench(rule(False)).refused(stream=stream)).rule == "mine"
    bench = Bench(rule("something else"))
    assert (await bench.send(stream=stream)).text == "something else"
    assert short(bench.verdicts) == [("mine", "output", "redacted", 1)]


@both
async def test_a_function_sees_what_other_rules_have_left(stream: bool) -> None:
    seen: list[str] = []
    await Bench(Guardrails([lambda text: seen.append(text), "pii"]), Scripted(f"to {MAIL}")).send(
        ask(f"from {MAIL}", stream=stream)
    )
    assert seen == ["from [REDACTED:email]", "to [REDACTED:email]"]


@both
async def test_a_bad_verdict_of_a_rule_that_redacts_puts_a_mark_in_the_place_of_the_text(stream: bool) -> None:
    bench = Bench(Guardrails([Check(lambda _: False, action="redact", side="output", name="mine")]))
    assert (await bench.send(stream=stream)).text == "[REDACTED:mine]"


# rules that fail


def fails(_: str) -> bool:
    raise RuntimeError(f"cannot judge {MAIL}")


@both
async def test_a_rule_that_fails_closes(stream: bool) -> None:
    bench = Bench(Guardrails([Check(fails, side="output")]))
    error = await bench.refused(stream=stream)
    assert "fails closed" in str(error)
    assert MAIL not in str(error) + repr(error.__cause__) + repr(bench.verdicts)
    assert bench.verdicts == [GuardrailVerdict("fails", "output", "not_run", 0, "RuntimeError")]


@both
@pytest.mark.parametrize(
    "stage",
    [
        Guardrails([Check(fails)], on_error="fail_open"),
        Guardrails([Check(fails, on_error="fail_open")]),
        Guardrails([Check(fails, shadow=True)]),
        Guardrails([Check(fails, action="annotate")]),
    ],
    ids=["stage-open", "rule-open", "shadow", "annotate"],
)
async def test_a_rule_that_fails_opens_where_it_is_set_or_changes_nothing_anyway(
    stage: Guardrails, stream: bool
) -> None:
    bench = Bench(stage)
    await bench.send(stream=stream)
    assert [verdict.verdict for verdict in bench.verdicts] == ["not_run", "not_run"]


async def test_a_rule_s_own_setting_goes_before_the_stage_s() -> None:
    await Bench(Guardrails([Check(fails, on_error="fail_closed")], on_error="fail_open")).refused()


async def test_a_function_that_takes_too_long_is_not_run() -> None:
    clock = FakeClock()

    async def slow(_: str) -> bool:
        await clock.sleep(60)
        return True

    bench = Bench(Guardrails([Check(slow, timeout_s=2, side="input")]), clock=clock)
    await bench.refused()
    assert bench.verdicts[0].reason == "no verdict within 2 s"
    assert clock.slept_s == 2.0


async def test_a_function_that_returns_nonsense_is_not_run() -> None:
    bench = Bench(Guardrails([Check(lambda _: 5, name="mine")]))  # type: ignore[arg-type,return-value]
    await bench.refused()
    assert bench.verdicts[0].reason == "TypeError"


@both
async def test_a_text_that_is_too_long_to_judge_is_not_let_through(stream: bool) -> None:
    bench = Bench(Guardrails([PII(side="output")], max_chars=10))
    await bench.refused(stream=stream)
    assert bench.verdicts[0].reason == "a text is longer than 10 characters"
    opened = Bench(Guardrails([PII(side="output")], max_chars=10, on_error="fail_open"))
    assert (await opened.send(stream=stream)).text == Scripted().text


# streams


class Chunks:
    """A provider of given chunks."""

    def __init__(self, chunks: list[ChatChunk], error: Exception | None = None, block: int = 1) -> None:
        self.chunks = chunks
        self.error = error
        self.block = block

    async def __call__(self, call: Call) -> Reply:
        return Stream(_Source(list(self.chunks), self.error, self.block), assemble_chat)

    __name__ = "chunks"


class _Source:
    def __init__(self, left: list[ChatChunk], error: Exception | None, block: int) -> None:
        self.left = left
        self.error = error
        self.block = block

    async def read(self) -> list[ChatChunk]:
        if not self.left and self.error is not None:
            raise self.error
        block, self.left = self.left[: self.block], self.left[self.block :]
        return block

    async def aclose(self) -> None: ...


def text(piece: str, choice: int = 0, **more: Any) -> ChatChunk:
    return ChatChunk("id", "m", 1, (ChoiceDelta(choice, Delta(content=piece, **more)),))


def finish(choice: int = 0) -> ChatChunk:
    return ChatChunk("id", "m", 1, (ChoiceDelta(choice, Delta(), "stop", "stop"),))


async def through(stage: Guardrails, chunks: list[ChatChunk]) -> list[ChatChunk]:
    reply = await Pipeline([stage], Chunks(chunks)).send(ask(stream=True))
    assert isinstance(reply, Stream)
    return [chunk async for chunk in reply]


async def test_choices_have_windows_of_their_own() -> None:
    pieces = [(0, "ann@exa"), (1, "bob@"), (0, "mple.com x"), (1, "example.org y")]
    out = await through(Guardrails(["pii"]), [*(text(piece, choice) for choice, piece in pieces), finish(0), finish(1)])
    answers = assemble_chat(out).choices
    assert [choice.message.content for choice in answers] == ["[REDACTED:email] x", "[REDACTED:email] y"]


async def test_text_comes_out_before_the_finish_and_roles_and_usage_stay() -> None:
    first = ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(role="assistant", content="")),))
    out = await through(Guardrails(["pii"]), [first, text("Hello wor"), text("ld"), finish()])
    assert out == [first, text("Hello "), text("world"), finish()]


async def test_a_stream_without_a_finish_keeps_its_last_word() -> None:
    assert assemble_chat(await through(Guardrails(["pii"]), [text("Hello wor"), text("ld")])).text == "Hello world"


async def test_reasoning_comes_out_before_the_text_that_follows_it() -> None:
    think = ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(reasoning_content=f"I know {MAIL}")),))
    out = await through(Guardrails(["pii"]), [think, text("Yes"), finish()])
    assert [(chunk.reasoning, chunk.text) for chunk in out] == [
        ("I know ", ""),
        ("[REDACTED:email]", ""),
        ("", "Yes"),
        ("", ""),
    ]


async def test_a_finding_that_another_field_interrupts_is_still_found() -> None:
    think = [
        ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(reasoning_content=piece)),))
        for piece in ("key sk-proj-canary", "123456789012345678 ok")
    ]
    out = await through(Guardrails(["secrets"]), [think[0], text("Yes"), think[1], finish()])
    assert "123456" not in (assemble_chat(out).reasoning or "")


async def test_a_signature_does_not_outlive_a_change_of_its_text() -> None:
    def block(index: int, **fields: Any) -> ChatChunk:
        return ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(reasoning_blocks=(ReasoningDelta(index, **fields),))),))

    chunks = [
        block(0, text="ask ann@exam"),
        block(0, text="ple.com"),
        block(0, signature="s0"),
        block(1, text="fine"),
        block(1, signature="s1"),
        finish(),
    ]
    blocks = assemble_chat(await through(Guardrails(["pii"]), chunks)).choices[0].message.reasoning_blocks
    assert [(block.text, block.signature) for block in blocks or ()] == [("ask [REDACTED:email]", None), ("fine", "s1")]


async def test_arguments_in_pieces_are_judged_call_by_call() -> None:
    def call(index: int, piece: str, **fields: Any) -> ChatChunk:
        delta = ToolCallDelta(index, fields.get("id"), fields.get("type"), FunctionDelta(fields.get("name"), piece))
        return ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(tool_calls=(delta,))),))

    chunks = [
        call(0, "", id="a", name="f"),
        call(0, '{"to": "ann@'),
        call(0, 'example.com"}'),
        call(1, '{"n"', id="b", name="g"),
        call(1, ": 1}"),
        finish(),
    ]
    calls = assemble_chat(await through(Guardrails(["pii"]), chunks)).tool_calls
    assert [(one.id, one.function and one.function.name, one.function and one.function.arguments) for one in calls] == [
        ("a", "f", '{"to": "[REDACTED:email]"}'),
        ("b", "g", '{"n": 1}'),
    ]


async def test_token_probabilities_do_not_tell_what_was_held_back() -> None:
    chunk = ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(content=MAIL), logprobs={"content": [{"token": MAIL}]}),))
    assert MAIL not in repr(await through(Guardrails(["pii"]), [chunk, finish()]))


async def test_a_stream_that_breaks_off_fails_as_it_did_and_lets_nothing_held_out() -> None:
    reply = await Pipeline(
        [Guardrails(["secrets"])], Chunks([text("key sk-proj-can")], StreamInterruptedError("cut"))
    ).send(ask(stream=True))
    with pytest.raises(StreamInterruptedError) as caught:
        await reply.response()  # type: ignore[union-attr]
    assert caught.value.partial is not None
    assert caught.value.partial.text == "key "


async def test_leaving_a_stream_early_leaves_nothing_behind() -> None:
    bench = Bench(Guardrails(["pii"]), Scripted(gap_s=1))
    reply = await bench.pipeline.send(ask(stream=True))
    assert isinstance(reply, Stream)
    await anext(reply)
    await reply.aclose()
    assert bench.provider.open_streams == 0
    assert bench.verdicts[-1].verdict == "not_run"
    assert bench.verdicts[-1].reason == "the call ended before"


# where it stands


async def test_no_secret_reaches_a_cache_inside() -> None:
    provider = FakeProvider()
    pipeline = Pipeline([Guardrails(["secrets"]), Cache()], provider)
    await pipeline.send(ask(f"a {KEY} b"))
    again = await pipeline.send(ask(f"a {KEY[:-1]}9 b"))
    assert len(provider.calls) == 1, "both are the same once their keys are marked"
    assert again.record.facts["cache"].verdict == "hit"  # type: ignore[union-attr]


async def test_a_hit_is_judged_too() -> None:
    cache, provider = Cache(), FakeProvider((Scripted(f"to {MAIL}"),))
    await Pipeline([cache], provider).send(ask())
    reply = await Pipeline([Guardrails(["pii"]), cache], provider).send(ask())
    assert reply.text == "to [REDACTED:email]"  # type: ignore[union-attr]
    assert len(provider.calls) == 1


async def test_a_cache_outside_is_refused() -> None:
    with pytest.raises(PlanError, match="Move Cache after Guardrails"):
        Pipeline([Cache(), Guardrails(["secrets"])], FakeProvider())


async def test_a_dry_run_judges_the_request_and_calls_no_function() -> None:
    called: list[str] = []
    bench = Bench(Guardrails([PII(), Check(lambda text: called.append(text), name="mine")]))
    dry = await bench.pipeline.aexplain(ask(MAIL))
    assert [(verdict.rule, verdict.verdict) for verdict in dry.facts["guardrails"]] == [
        ("pii", "redacted"),
        ("mine", "not_run"),
    ]
    assert not called
    refused = await Bench(Guardrails([PII(action="block")])).pipeline.aexplain(ask(MAIL))
    assert refused.refused is not None
    assert MAIL not in refused.refused


@pytest.mark.parametrize(
    "settings",
    [
        {"rules": []},
        {"rules": ["nothing"]},
        {"rules": [5]},
        {"rules": [{"pii": {}, "secrets": {}}]},
        {"rules": ["pii", "pii"]},
        {"rules": ["pii"], "holdback_chars": 0},
        {"rules": ["pii"], "max_chars": 0},
        {"rules": ["pii"], "streams": "maybe"},
        {"rules": ["pii"], "on_error": "maybe"},
    ],
    ids=str,
)
async def test_settings_that_cannot_be_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"guardrails\."):
        Guardrails(**settings)


async def test_rules_can_be_written_as_configuration() -> None:
    stage = Guardrails(["secrets", {"pii": {"kinds": ["email"], "action": "block"}}, {"deny_list": {"words": ["x"]}}])
    assert stage.rules == (Secrets(), PII(kinds=("email",), action="block"), DenyList(("x",)))


async def test_sixty_four_calls_at_once_do_not_mix() -> None:
    bench = Bench(Guardrails(["pii"]), Scripted(f"to {MAIL}", gap_s=0.1))
    responses = await asyncio.gather(*(bench.send(stream=index % 2 == 0) for index in range(64)))
    assert {response.text for response in responses} == {"to [REDACTED:email]"}
    assert all(
        short(response.record.facts["guardrails"])[1] == ("pii", "output", "redacted", 1) for response in responses
    )


_TOOL_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": "in arguments"}'}}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "plain"},
        {"role": "assistant", "content": "with a tool call", "tool_calls": [_TOOL_CALL]},
        {"role": "assistant", "content": None, "tool_calls": [_TOOL_CALL]},
        {"role": "user", "content": [{"type": "text", "text": "a part"}, {"type": "image_url", "image_url": {"url": "https://x/y"}}]},
        {"role": "assistant", "content": "answer", "reasoning_content": "thought"},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": "answer", "reasoning_blocks": [{"type": "thinking", "text": "signed", "signature": "s"}]},
    ],
    ids=lambda message: "-".join(message),
)  # fmt: skip
def test_the_quick_look_sees_the_texts_that_rules_judge(message: dict[str, Any]) -> None:
    plain = {"role": "user", "content": "before"}
    request = ChatRequest.model_validate({"model": "fake/m", "messages": [plain, message, plain]})
    choices = [{"index": place, "message": one} for place, one in enumerate((plain, message))]
    answer = ChatResponse.model_validate({"choices": choices})
    for value in (request, answer):
        seen = strings_of(value)
        assert seen == [text.value for text in texts_of(value)]
        assert "before" in seen
    assert len(strings_of(request)) >= 3


def test_the_quick_look_sees_the_texts_of_other_operations() -> None:
    assert strings_of(EmbeddingsRequest(model="fake/m", input=["one", "two"])) == ["one", "two"]
