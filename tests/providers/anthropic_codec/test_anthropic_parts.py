"""Parts of messages as content blocks."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from glassway.providers.codecs.anthropic import AnthropicCodec

CODEC = AnthropicCodec()
OLD, MIDDLE, NEW, NEWEST = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.fixture
def turns(sent: Any) -> Any:
    """The turns that these messages become."""
    return lambda *messages, model="claude-sonnet-4-5": sent({"messages": messages, "model": model})[0]["messages"]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x.test/i.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://x.test/i.png"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                "title": "a.pdf",
            },
        ),
        (
            {
                "type": "file",
                "file": {"file_data": "data:text/csv;base64," + base64.b64encode("ä,1".encode()).decode()},
            },
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ä,1"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:image/jpeg;base64,AAAA", "filename": "i.jpg"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
        ),
        ({"type": "refusal", "refusal": "no"}, {"type": "text", "text": "no"}),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
    ],
)
def test_parts(turns: Any, part: dict[str, Any], block: dict[str, Any]) -> None:
    assert turns(user([part])) == [{"role": "user", "content": [block]}]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, "messages.content.input_audio"),
        ({"type": "image_url", "image_url": {"url": "gs://bucket/i.png"}}, "messages.content.image_url"),
        ({"type": "file", "file": {"file_data": "data:video/mp4;base64,AA"}}, "messages.content.file"),
        ({"type": "video_url", "video_url": {}}, "messages.content.video_url"),
    ],
)
def test_parts_that_the_vendor_does_not_take_are_dropped_with_a_note(
    sent: Any, part: dict[str, Any], name: str
) -> None:
    body, notes = sent({"messages": [user([{"type": "text", "text": "x"}, part])]})
    assert body["messages"] == [user([{"type": "text", "text": "x"}])]
    assert notes[name] == "dropped"
