"""A vendor's message in an error: bounded, without keys, without quotations of the request."""

from __future__ import annotations

import pytest

from glassway.providers.redaction import MASK, MESSAGE_CHARS, safe_message

KEYS = [
    "sk-ant-api03-AbCd1234_efGH-5678",
    "sk-proj-aaaabbbbccccdddd",
    "sk-abcd****************wxyz",
    "gsk_0123456789abcdefABCDEF",
    "hf_abcdefghijklmnop",
    "xai-0123456789abcdef",
    "AKIAABCDEFGHIJKLMNOP",
    "AIzaSyA1234567890abcdefghij",
    "0123456789abcdef0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "around", ["Incorrect API key provided: {}.", "bad key '{}' given", "({})", "{}", "?key={}&x=1", "Bearer {}"]
)
def test_keys_are_masked(key: str, around: str) -> None:
    said = safe_message(around.format(key))
    assert key not in said
    assert key[8:] not in said
    assert MASK in said


@pytest.mark.parametrize(
    "text",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "model: claude-sonnet-4-5-20250929",
        "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku-20241022",
        "Rate limit reached for `gpt-4o` in organization `org` on tokens per min. Please try again in 9.8s.",
        "invalid x-api-key",
        "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or `max_tokens` and try again",
        "This request would exceed your account's rate limit; see your organization's settings, and your workspace's settings, first.",
        "tools.0.custom.input_schema: Field required",
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert safe_message(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "1 validation error: messages.0 [type=x, input_value={'role': 'user', 'content': 'my PROMPT'}]",
        '{"detail": [{"loc": ["body"], "input": {"content": "my PROMPT"}}]}',
        "tool call failed, failed_generation: <function=PROMPT>",
        "could not read 'this is a very long quotation from the request, and it has the PROMPT in it'",
        'could not read `short` and then "a quotation that has an apostrophe, as in the model\'s, is not over there: PROMPT"',
        "could not read 'a quotation that is never closed because it was cut somewhere in the middle of the PROMPT",
        "bad image url data:image/png;base64,PROMPT",
    ],
)
def test_echoes_of_the_request_are_masked(text: str) -> None:
    assert "PROMPT" not in safe_message(text)


def test_it_is_one_bounded_line() -> None:
    said = safe_message("line\nand\tline " * 100_000)
    assert len(said) == MESSAGE_CHARS
    assert "\n" not in said
    assert said.startswith("line and line")
