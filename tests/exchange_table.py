"""Which recorded exchange is judged by which test, which by none and why, and how the run went: vendor x kind x passed/total."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from recordings import CORPUS, names

JUDGES: dict[str, tuple[str, ...]] = {
    "test_a_whole_answer_reads_as_the_official_client_reads_it": (),
    "test_a_stream_reads_as_the_official_client_reads_it": (),
    "test_an_error_is_the_official_clients_error": (),
    "test_a_refusal_is_the_official_clients_error": (),
    "test_we_read_what_the_official_sdk_reads": (),
    "test_we_read_what_the_official_client_reads": (),
    "test_we_read_what_the_official_clients_read": (),
    "test_we_read_what_aws_own_client_reads": (),
    "test_an_error_is_the_sdks_error": (),
    "test_an_error_is_the_clients_error": (),
    "test_an_error_says_what_the_sdks_error_says": (),
    "test_embeddings_are_what_the_official_sdk_reads": (),
    "test_rankings_are_what_the_official_sdk_reads": (),
    "test_a_recorded_count": (),
    "test_a_recorded_count_of_geminis": (),
    "test_a_recorded_count_of_vertexs": (),
    "test_a_recorded_count_of_openais": (),
    "test_a_recorded_model_that_is_not_there": (),
    "test_a_recorded_list_of_models": (),
    "test_a_model_is_what_the_official_sdk_is_shown": ("ollama/show-1",),
    "test_the_recorded_error_names_the_command_to_run": ("ollama/chat-error-404-1",),
    "test_an_error_at_the_end_of_a_stream_is_raised_behind_what_had_arrived": (
        "cohere/chat-mid-stream-error-stream-*",
    ),
}
"""Tests that compare what we read with what an independent judge reads; the exchanges of those that name none are their parameters."""

OUT_OF_SCOPE: dict[str, str] = {
    "*/completions-*": "the legacy API for completing a text, which has no messages",
    "cohere/*-v1*": "v1, which the vendor calls legacy: other requests, other answers",
    "huggingface/inference-legacy-*": "the older inference API, which is no chat",
    **dict.fromkeys(
        ("bedrock/invoke-length-[12]", "bedrock/invoke-length-stream-1"),
        "InvokeModel of families other than Claude and Nova, which are asked by Converse",
    ),
    "bedrock/invoke-text-stream-*": "InvokeModel of families other than Claude and Nova, which are asked by Converse",
    "openai/responses-compact-*": "compacting a conversation at the vendor, which is none of our operations",
    "mistral/ocr-*": "reading scanned pages, which is none of our operations",
}
"""Exchanges that no test judges, and why."""

LEAST_RIGHT = 0.99


def exchanges_of(item: pytest.Item) -> Iterator[str]:
    """The names of the exchanges that a test is about."""
    function = getattr(item, "originalname", item.name)
    if function not in JUDGES:
        return
    for pattern in JUDGES[function]:
        yield from (name for name in names() if fnmatch(name, pattern))
    callspec = getattr(item, "callspec", None)
    for value in () if callspec is None else callspec.params.values():
        if (name := _name_of(value)) is not None:
            yield name


def _name_of(value: Any) -> str | None:
    if isinstance(value, Path) and value.is_relative_to(CORPUS):
        return f"{value.parent.name}/{value.stem}"
    found = value.get("id") if isinstance(value, dict) else getattr(value, "id", None) or getattr(value, "name", None)
    if not isinstance(found, str):
        return None
    return next((name for name in _spellings(found) if name in _known()), None)


def _spellings(text: str) -> Iterator[str]:
    """`vendor/kind-1`, `vendor-kind-1`, or `kind-1` of Bedrock."""
    yield text
    yield f"bedrock/{text}"
    for place, letter in enumerate(text):
        if letter == "-":
            yield f"{text[:place]}/{text[place + 1 :]}"


@cache
def _known() -> frozenset[str]:
    return frozenset(names())


@dataclass
class Results:
    """What the tests of one run said of each exchange."""

    collected: set[str] = field(default_factory=set)
    failed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    judged: set[str] = field(default_factory=set)

    def note(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """One phase of one test."""
        for name in exchanges_of(item):
            if report.failed:
                self.failed[name].append(item.nodeid)
            elif report.when == "call" and report.passed:
                self.judged.add(name)

    @property
    def right(self) -> set[str]:
        return self.judged - self.failed.keys()

    def table(self) -> Iterator[str]:
        """Lines of vendor, kind, right/total, and what is out of scope."""
        by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in names():
            vendor, _, kind = name.rpartition("-")[0].partition("/")
            by_kind[vendor, kind].append(name)
        for (vendor, kind), members in sorted(by_kind.items()):
            judged = [name for name in members if name in self.judged or name in self.failed]
            left = len(members) - len(judged)
            reason = next(
                (reason for name in members if name not in judged and (reason := reason_of(name))), "nobody says why"
            )
            note = f"  {left} out of scope: {reason}" if left else ""
            yield f"{vendor:<14}{kind:<36}{sum(name in self.right for name in judged)}/{len(judged)}{note}"


def reason_of(name: str) -> str | None:
    """Why nobody judges it; None if somebody should."""
    return next((reason for pattern, reason in OUT_OF_SCOPE.items() if fnmatch(name, pattern)), None)
