"""Fills in the tables that the code itself can tell: what becomes of each parameter at each vendor, and who the vendors are.

    <!-- table: translation -->   one small request for each parameter, through each codec
    <!-- table: reasons -->       what the codecs said of them
    <!-- table: vendors -->       the rows of the catalogue

Each block ends at `<!-- /table -->`. `--check` writes nothing and fails if a block is not up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from glassway.pipeline.call import Call, CallOptions, Target
from glassway.pipeline.facts import TRANSLATION, Translation
from glassway.pipeline.types import ChatRequest
from glassway.providers.catalogue import ROWS, Row, row_of
from glassway.providers.codec import Codec
from glassway.providers.dialect import ALL_OPERATIONS
from glassway.providers.vendors import codec_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "docs" / "translation.md", ROOT / "docs" / "vendors" / "README.md")

_BLOCK = re.compile(r"(?P<open><!-- table: (?P<what>\w+) -->\n)(?P<body>.*?)(?P<close><!-- /table -->)", re.DOTALL)

VENDORS: Mapping[str, tuple[str, str, str]] = {
    "openai": ("openai", "gpt-4o", "chat"),
    "o-series": ("openai", "o3", "chat"),
    "responses": ("openai", "gpt-5-mini", "responses"),
    "anthropic": ("anthropic", "claude-sonnet-4-5", "chat"),
    "gemini": ("gemini", "gemini-2.5-flash", "chat"),
    "bedrock": ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "chat"),
    "cohere": ("cohere", "command-a-reasoning-08-2025", "chat"),
    "ollama": ("ollama", "qwen3", "chat"),
    "mistral": ("mistral", "mistral-small-latest", "chat"),
    "groq": ("groq", "openai/gpt-oss-20b", "chat"),
    "deepseek": ("deepseek", "deepseek-chat", "chat"),
    "openrouter": ("openrouter", "openai/gpt-4o-mini", "chat"),
    "compatible": ("openai_compatible", "m", "chat"),
}
"""A column, and the vendor, model and protocol behind it."""

_USER = {"role": "user", "content": "x"}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
_OTHER = {"type": "function", "function": {"name": "g"}}
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
_CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
_THOUGHT = {"type": "thinking", "text": "t", "signature": "s", "provider": "another", "index": 0}
_MARK = {"cache_control": {"type": "ephemeral"}}
_PNG = "data:image/png;base64,iVBORw0KGgo="
_PDF = "data:application/pdf;base64,JVBERi0="


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, dict(part)]}]}


PARAMETERS: Mapping[str, dict[str, Any]] = {
    "`max_tokens`": {"max_tokens": 50},
    "`max_completion_tokens`": {"max_completion_tokens": 50},
    "`temperature` above 1": {"temperature": 1.5},
    "`top_p`": {"top_p": 0.5},
    "`top_k`": {"top_k": 5},
    "`n`": {"n": 2},
    "`stop`": {"stop": ["a"]},
    "`stop`, six of them": {"stop": list("abcdef")},
    "`seed`": {"seed": 1},
    "`frequency_penalty`": {"frequency_penalty": 0.5},
    "`presence_penalty` below 0": {"presence_penalty": -0.5},
    "`logit_bias`": {"logit_bias": {"1": 1}},
    "`logprobs`": {"logprobs": True, "top_logprobs": 2},
    "`tools`": {"tools": [_TOOL]},
    "`tool_choice: required`": {"tools": [_TOOL], "tool_choice": "required"},
    "`tool_choice: none`": {"tools": [_TOOL], "tool_choice": "none"},
    "`tool_choice`, one by name": {
        "tools": [_TOOL, _OTHER],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    "`tool_choice: allowed_tools`": {
        "tools": [_TOOL, _OTHER],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_TOOL]}},
    },
    "`parallel_tool_calls: false`": {"tools": [_TOOL], "parallel_tool_calls": False},
    "`strict` of a tool": {"tools": [{"type": "function", "function": {**_TOOL["function"], "strict": True}}]},
    "`response_format: json_object`": {"response_format": {"type": "json_object"}},
    "`response_format: json_schema`": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA, "strict": True}}
    },
    "`response_format` beside `tools`": {
        "tools": [_TOOL],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA, "strict": True}},
    },
    "`reasoning_effort`": {"reasoning_effort": "low"},
    "`reasoning_effort: xhigh`": {"reasoning_effort": "xhigh"},
    "`user`": {"user": "u"},
    "`metadata`": {"metadata": {"a": "b"}},
    "`service_tier: flex`": {"service_tier": "flex"},
    "`modalities` with audio": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    "a parameter nobody knows": {"made_up": 1},
    "a parameter of Anthropic's": {"inference_geo": "us"},
    "a parameter of Gemini's": {"safety_settings": []},
    "a built-in tool of Gemini's": {"tools": [_TOOL, {"type": "googleMaps", "googleMaps": {}}]},
    "system message": {"messages": [{"role": "system", "content": "s"}, _USER]},
    "system message in the middle": {"messages": [_USER, {"role": "system", "content": "s"}, _USER]},
    "`name` of a participant": {"messages": [{**_USER, "name": "n"}]},
    "image, as data": _part({"type": "image_url", "image_url": {"url": _PNG}}),
    "image, by URL": _part({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}),
    "audio": _part({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    "PDF, as data": _part({"type": "file", "file": {"file_data": _PDF, "filename": "a.pdf"}}),
    "`cache_control` of a part": {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", **_MARK}]}]},
    "picture in a tool's result": {
        "tools": [_TOOL],
        "messages": [
            _USER,
            _CALLED,
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "image_url", "image_url": {"url": _PNG}}]},
        ],
    },
    "reasoning text of another vendor": {
        "messages": [_USER, {"role": "assistant", "content": "a", "reasoning_content": "t"}, _USER]
    },
    "signed reasoning of another vendor": {
        "messages": [
            _USER,
            {"role": "assistant", "content": "a", "reasoning_content": "t", "reasoning_blocks": [_THOUGHT]},
            _USER,
        ]
    },
}
"""What is asked for, and the fields of the request that ask for it."""

_WORST = ("dropped", "clamped", "emulated", "renamed")


def main() -> int:
    """Fill in or check the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    stale = [page for page in asked.pages if not _up_to_date(page, write=not asked.check)]
    for page in stale if asked.check else ():
        sys.stderr.write(f"{page}: its tables are not what the code says. Run: make docs\n")
    return 1 if asked.check and stale else 0


def _up_to_date(page: Path, *, write: bool) -> bool:
    found = page.read_text(encoding="utf-8")
    wanted = _BLOCK.sub(lambda block: f"{block['open']}{TABLES[block['what']]()}\n{block['close']}", found)
    if write and found != wanted:
        page.write_text(wanted, encoding="utf-8")
    return found == wanted


@cache
def _codec(column: str) -> Codec:
    vendor, _, api = VENDORS[column]
    return codec_of(row_of(vendor), "responses" if api == "responses" else "chat")


@cache
def _base(column: str) -> tuple[Translation, ...]:
    return _facts(column, {})


def _facts(column: str, fields: Mapping[str, Any]) -> tuple[Translation, ...]:
    vendor, model, _ = VENDORS[column]
    request = ChatRequest.model_validate({"model": "m", "messages": [_USER], **fields})
    call = Call.start(request, options=CallOptions()).with_target(Target(vendor, model))
    _codec(column).encode(call)
    return tuple(sorted(call.trail(TRANSLATION), key=lambda fact: (fact.parameter, fact.action, fact.reason)))


def _notes(column: str, fields: Mapping[str, Any]) -> tuple[Translation, ...]:
    """What the fields make the codec say, beyond what it says of every request."""
    return tuple(fact for fact in _facts(column, fields) if fact not in _base(column))


def _translation() -> str:
    lines = [_row("asked for", *VENDORS), _row("---", *("---" for _ in VENDORS))]
    for name, fields in PARAMETERS.items():
        lines.append(_row(name, *(_verdict(_notes(column, fields)) for column in VENDORS)))
    return "\n".join(lines)


def _verdict(notes: tuple[Translation, ...]) -> str:
    actions = {note.action for note in notes}
    worst = next((action for action in _WORST if action in actions), None)
    return {None: "kept", "dropped": "**dropped**", "clamped": "**clamped**"}.get(worst, worst or "kept")


def _reasons() -> str:
    return "\n\n".join(f"### {column}\n\n" + "\n".join(_said(column)) for column in VENDORS)


def _said(column: str) -> Iterator[str]:
    yield _row("asked for", "parameter", "action", "why")
    yield _row("---", "---", "---", "---")
    for note in _base(column):
        yield _row("every request", f"`{note.parameter}`", note.action, note.reason)
    for name, fields in PARAMETERS.items():
        for note in _notes(column, fields):
            yield _row(name, f"`{note.parameter}`", note.action, note.reason)


def _vendors() -> str:
    heads = ("name", "aliases", "key", "base URL", "operations", "codec", "the vendor's docs", "ours")
    return "\n".join([_row(*heads), _row(*("---" for _ in heads)), *map(_vendor, ROWS)])


def _vendor(row: Row) -> str:
    return _row(
        f"`{row.name}`",
        _names(row.aliases),
        _names(row.key_variables) + ("" if row.needs_key or not row.key_variables else " (if set)"),
        f"`{row.base_url}`"
        if row.base_url
        else f"`base_url=`{', ' if row.base_url_env else ''}{_names((row.base_url_env,) if row.base_url_env else ())}",
        _operations(row),
        row.codec,
        f"[{row.docs.split('/')[2]}]({row.docs})",
        _page(row),
    )


def _operations(row: Row) -> str:
    if row.dialect.operations == ALL_OPERATIONS:
        return "all"
    return ", ".join(sorted(row.dialect.operations, key=_order))


def _order(operation: str) -> tuple[bool, str]:
    return operation != "chat", operation


def _page(row: Row) -> str:
    shared = {"vertex": "gemini"}
    name = shared.get(row.name, row.name)
    return f"[{name}]({name}.md)" if (ROOT / "docs" / "vendors" / f"{name}.md").exists() else ""


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


TABLES: Mapping[str, Callable[[], str]] = {"translation": _translation, "reasons": _reasons, "vendors": _vendors}

if __name__ == "__main__":
    sys.exit(main())
