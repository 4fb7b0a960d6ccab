"""Tools, and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from glassway.providers.codecs.anthropic import AnthropicCodec

CODEC = AnthropicCodec()
OLD, MIDDLE, NEW, NEWEST = "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5"


def test_tools_and_the_choice_among_them(sent: Any) -> None:
    function = {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {"a": {}}},
        "strict": True,
    }
    body, _ = sent(
        {"tools": [{"type": "function", "function": function}, {"type": "function", "function": {"name": "g"}}]}
    )
    assert body["tools"] == [
        {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}, "strict": True},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body


TOOL = {"tools": [{"type": "function", "function": {"name": "f"}}]}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("none", False, {"type": "none"}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (None, True, None),
    ],
)
def test_tool_choice(sent: Any, choice: Any, parallel: bool | None, expected: Any) -> None:
    body, _ = sent(TOOL | {"tool_choice": choice, "parallel_tool_calls": parallel})
    assert body.get("tool_choice") == expected


def test_a_choice_without_tools_is_dropped(sent: Any) -> None:
    body, notes = sent({"tool_choice": "auto"})
    assert "tool_choice" not in body
    assert notes["tool_choice"] == "dropped"


def test_tools_of_other_vendors_are_dropped_and_its_own_are_kept(sent: Any) -> None:
    own = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    body, notes = sent({"tools": [own, {"type": "web_search_preview"}]})
    assert body["tools"] == [own]
    assert notes["tools"] == "dropped"
