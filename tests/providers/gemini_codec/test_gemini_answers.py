"""Answers that no recording has: blocked prompts, several candidates, images and sound, citations, broken streams."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.pipeline.call import Call
from glassway.pipeline.errors import (
    APIError,
    InternalServerError,
    ResponseValidationError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from glassway.pipeline.types import ChatRequest, ChatResponse, Message
from glassway.providers.codecs.gemini import GeminiCodec
from glassway.providers.codecs.gemini_model_turn import model_parts
from glassway.providers.codecs.gemini_models import traits_of
from glassway.providers.codecs.gemini_stream import ArrayDecoder
from glassway.testing import FakeClock

Json = dict[str, Any]
CODEC = GeminiCodec()
CALL = Call.start(
    ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}), clock=FakeClock()
)
COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def candidate(*parts: Json, finish: str | None = "STOP", **more: Any) -> Json:
    reason = {"finishReason": finish} if finish else {}
    return {"content": {"role": "model", "parts": list(parts)}, **reason, **more}


def document(*candidates: Json, **more: Any) -> Json:
    return {
        "candidates": list(candidates),
        "usageMetadata": COUNTS,
        "modelVersion": "gemini-x",
        "responseId": "r",
        **more,
    }


def unary(data: Any) -> ChatResponse:
    return CODEC.decode(CALL, json.dumps(data).encode())


def events(*documents: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in documents)


def read(*pieces: bytes) -> ChatResponse:
    decoder = CODEC.decoder(CALL)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return CODEC.assemble(CALL, [*chunks, *decoder.finish()])


def streamed(*documents: Any) -> ChatResponse:
    return read(events(*documents))


@pytest.mark.parametrize("reading", [unary, streamed], ids=["unary", "stream"])
def test_a_blocked_prompt_is_an_answer_that_says_so(reading: Callable[[Json], ChatResponse]) -> None:
    answer = reading(
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}
    )
    assert answer.finish_reason == "content_filter"
    assert answer.choices[0].native_finish_reason == "PROHIBITED_CONTENT"
    assert answer.text == ""
    assert answer.extra["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    "body",
    [{}, {"usageMetadata": COUNTS}, {"candidates": []}, [], "x", {"candidates": "x"}, {"candidates": [{"content": 5}]}],
    ids=str,
)
def test_an_answer_without_candidates_is_none(body: Any) -> None:
    with pytest.raises(ResponseValidationError) as caught:
        unary(body)
    assert caught.value.retryable
    assert caught.value.provider == "gemini"


@pytest.mark.parametrize("body", [b"<html>no</html>", b'{"candidates": [', b""])
def test_what_is_no_json_is_none(body: bytes) -> None:
    with pytest.raises(ResponseValidationError):
        CODEC.decode(CALL, body)


@pytest.mark.parametrize(
    "part",
    [
        {"functionCall": {}},
        {"inlineData": {"mimeType": "audio/l16", "data": "%"}},
        {"inlineData": {"mimeType": "image/png"}},
    ],
    ids=str,
)
def test_a_malformed_part_is_a_bad_response(part: Json) -> None:
    with pytest.raises(ResponseValidationError):
        unary(document(candidate(part)))


def test_counts_that_are_none_are_a_bad_response() -> None:
    with pytest.raises(ResponseValidationError):
        unary(document(candidate({"text": "x"}), usageMetadata={"promptTokenCount": "many"}))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        *(
            (word, "content_filter")
            for word in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")
        ),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("A_NEW_WORD", "stop"),
    ],
)
def test_finish_reasons(word: str, reason: str) -> None:
    answer = unary(document(candidate({"text": "x"}, finish=word)))
    assert (answer.finish_reason, answer.choices[0].native_finish_reason) == (reason, word)


def test_several_candidates_streamed_apart() -> None:
    answer = streamed(
        document(candidate({"text": "a"}, finish=None, index=0)),
        document(candidate({"text": "b"}, finish=None, index=1)),
        document(candidate({"text": "c"}, index=0), candidate({"functionCall": {"name": "f"}}, index=1)),
    )
    assert [choice.message.text for choice in answer.choices] == ["ac", "b"]
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "tool_calls"]
    assert answer.choices[1].message.tool_calls is not None


def test_a_candidate_without_its_end_is_an_interrupted_stream() -> None:
    with pytest.raises(StreamInterruptedError):
        streamed(document(candidate({"text": "a"}, index=0)), document(candidate({"text": "b"}, finish=None, index=1)))


def test_made_ids_are_the_same_whole_and_streamed_and_differ_by_answer() -> None:
    parts = ({"functionCall": {"name": "f", "args": {"x": 1}}}, {"functionCall": {"name": "f", "args": {"x": 1}}})
    whole = [call.id for call in unary(document(candidate(*parts))).tool_calls]
    apart = [
        call.id
        for call in streamed(document(candidate(parts[0], finish=None)), document(candidate(parts[1]))).tool_calls
    ]
    other = [call.id for call in unary(document(candidate(*parts), responseId="r2")).tool_calls]
    assert whole == apart
    assert len({*whole, *other}) == 4
    assert all(len(one) <= 40 for one in whole)


def test_images_are_shown_and_can_be_sent_back() -> None:
    parts = [{"text": "here"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "AQID"}]
    answer = streamed(document(candidate(parts[0], finish=None)), document(candidate(parts[1])))
    assert answer.message.extra["images"] == (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    )
    assert back(answer) == parts


def test_sound_in_pieces_is_one_sound() -> None:
    sound = bytes(range(40))
    pieces = [base64.b64encode(sound[at : at + 7]).decode() for at in range(0, 40, 7)]
    parts = [{"inlineData": {"mimeType": "audio/L16;rate=24000", "data": piece}} for piece in pieces]
    answer = streamed(*(document(candidate(part, finish="STOP" if part is parts[-1] else None)) for part in parts))
    assert answer.message.audio is not None
    assert base64.b64decode(answer.message.audio["data"], validate=True) == sound
    assert answer.message.audio["mime_type"] == "audio/L16;rate=24000"


def test_parts_of_unknown_kinds_and_their_order_are_kept() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"toolCall": {"id": "1", "toolType": "GOOGLE_SEARCH_WEB"}, "thoughtSignature": "AQID"},
        {"text": "one"},
        {"functionCall": {"name": "f", "args": {}, "id": "c"}, "thoughtSignature": "BAUG"},
        {"text": "two", "partMetadata": {"a": 1}},
    ]
    assert back(unary(document(candidate(*parts)))) == parts


def back(answer: ChatResponse) -> list[Json]:
    notes: list[Any] = []
    message = Message.model_validate_json(json.dumps(answer.message.to_dict()))
    parts = model_parts(message, traits_of("gemini-2.5-flash"), lambda *note: notes.append(note))
    assert notes == []
    return parts


def test_citations_have_places_in_characters() -> None:
    text = "Grüße aus Köln. Ende."
    cited = "aus Köln."
    start = text.encode().index(cited.encode())
    segment = {"startIndex": start, "endIndex": start + len(cited.encode()), "text": cited}
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x.test", "title": "t"}}, {"retrievedContext": {"text": "k"}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0, 1, 9]}],
    }
    answer = streamed(
        document(candidate({"text": text[:7]}, finish=None)),
        document(candidate({"text": text[7:]}, groundingMetadata=grounding)),
    )
    page, passage = answer.message.annotations or ()
    at = text.index(cited)
    assert page == {
        "type": "url_citation",
        "url_citation": {"url": "https://x.test", "title": "t", "start_index": at, "end_index": at + len(cited)},
        "cited_text": cited,
    }
    assert passage["retrievedContext"] == {"text": "k"}
    assert text[passage["start_index"] : passage["end_index"]] == cited
    assert answer.choices[0].extra["groundingMetadata"] == grounding


def test_recitations_are_citations() -> None:
    sources = {"citationSources": [{"startIndex": 0, "endIndex": 2, "uri": "https://x.test", "license": "mit"}]}
    [note] = unary(document(candidate({"text": "abcd"}, citationMetadata=sources))).message.annotations or ()
    assert (note["url_citation"]["url"], note["url_citation"]["end_index"], note["license"]) == (
        "https://x.test",
        2,
        "mit",
    )


def test_log_probabilities() -> None:
    chosen = [{"token": "ä", "tokenId": 1, "logProbability": -0.5}, {"token": "b"}]
    result = {
        "chosenCandidates": chosen,
        "topCandidates": [{"candidates": [chosen[0], {"token": "c", "logProbability": -2.0}]}],
    }
    logprobs = unary(document(candidate({"text": "äb"}, logprobsResult=result))).choices[0].logprobs
    assert logprobs is not None
    first, second = logprobs["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("ä", -0.5, [0xC3, 0xA4])
    assert [one["token"] for one in first["top_logprobs"]] == ["ä", "c"]
    assert second == {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []}


def test_usage_in_openais_terms() -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 10,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 122,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 20}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
        "trafficType": "ON_DEMAND_FLEX",
    }
    answer = unary(document(candidate({"text": "x"}), usageMetadata=counts))
    assert answer.usage is not None
    assert answer.usage.to_dict() == {
        "prompt_tokens": 110,
        "completion_tokens": 12,
        "total_tokens": 122,
        "prompt_tokens_details": {"text_tokens": 80, "audio_tokens": 20, "cached_tokens": 60, "tool_use_tokens": 10},
        "completion_tokens_details": {"image_tokens": 5, "reasoning_tokens": 7},
    }
    assert answer.service_tier == "flex"


def test_counts_of_a_stream_add_up_over_its_documents() -> None:
    """Early documents may name only the kind of traffic, late ones not the cache."""
    answer = streamed(
        document(candidate({"text": "a"}, finish=None), usageMetadata={"trafficType": "ON_DEMAND"}),
        document(
            candidate({"text": "b"}, finish=None), usageMetadata={"promptTokenCount": 9, "cachedContentTokenCount": 4}
        ),
        document(candidate({"text": "c"}), usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 3}),
    )
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.cached_tokens) == (9, 3, 4)


def feed(data: bytes, step: int, chunks: list[Any]) -> None:
    decoder = CODEC.decoder(CALL)
    for at in range(0, len(data), step):
        chunks += decoder.feed(data[at : at + step])
    chunks += decoder.finish()


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
PRETTY = json.dumps(ERROR, indent=2).encode()


@pytest.mark.parametrize("body", [ERROR, [ERROR]], ids=["object", "array"])
def test_an_error_in_a_200_is_that_error(body: Any) -> None:
    with pytest.raises(ServiceUnavailableError, match="overloaded"):
        unary(body)


@pytest.mark.parametrize(
    "tail",
    [events(ERROR), PRETTY, b"\r\n" + PRETTY + b"\r\n", b"[" + PRETTY + b"]"],
    ids=["event", "bare", "bare on its own line", "bare array"],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_an_error_inside_a_stream_is_that_error_and_keeps_what_had_arrived(tail: bytes, step: int) -> None:
    data = events(document(candidate({"text": "a"}, finish=None))) + tail
    chunks: list[Any] = []
    with pytest.raises(ServiceUnavailableError, match="overloaded"):
        feed(data, step, chunks)
    assert [chunk.text for chunk in chunks] == ["a"]


def test_an_error_inside_an_array_is_that_error() -> None:
    data = json.dumps(
        [
            document(candidate({"text": "a"}, finish=None)),
            {"error": {"code": 500, "message": "x", "status": "INTERNAL"}},
        ]
    )
    decoder = CODEC.decoder(CALL)
    assert [chunk.text for chunk in decoder.feed(data.encode())] == ["a"]
    with pytest.raises(InternalServerError):
        decoder.finish()


@pytest.mark.parametrize("data", [b"", b"data: {}\n\n", b"[", b"[]", b"data: [DONE]\n\n", b": comment\n\n"])
def test_an_empty_stream_is_interrupted(data: bytes) -> None:
    with pytest.raises(StreamInterruptedError):
        read(data)


def test_nonsense_in_a_stream_is_a_bad_response() -> None:
    with pytest.raises(ResponseValidationError):
        read(b"data: not json\n\n")


def test_a_terminator_of_an_imitator_says_nothing() -> None:
    assert read(events(document(candidate({"text": "a"}))) + b"data: [DONE]\n\n").text == "a"


JSONS = st.recursive(
    st.none() | st.integers() | st.text('{}[]"\\ä,:', max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text('{"\\a', max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    objects=st.lists(st.dictionaries(st.text('{}"\\', max_size=3), JSONS, max_size=2), max_size=4),
    pretty=st.booleans(),
    data=st.data(),
)
def test_an_array_gives_its_objects_however_it_is_cut(objects: list[Json], pretty: bool, data: Any) -> None:
    body = json.dumps(objects, indent=2 if pretty else None, ensure_ascii=False).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    decoder, found = ArrayDecoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        found += decoder.feed(body[start:end])
    assert [json.loads(one) for one in found] == objects


def test_an_object_that_never_ends_is_refused() -> None:
    data = b'[{"a": "' + b"x" * (17 << 20)
    with pytest.raises(APIError, match="at most"):
        feed(data, 1 << 20, [])
