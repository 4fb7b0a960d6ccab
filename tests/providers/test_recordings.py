"""Our own recordings of vendors: every file is picked up, sent again and read again. `recordings/record.py` makes them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from recordings import CORPUS

from glassway.pipeline.call import Call
from glassway.pipeline.types import ChatRequest
from glassway.providers import provider
from glassway.providers.catalogue import ROWS, row_of
from glassway.providers.simulated import SimulatedServer, SimulatedVendor, Timing

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "recordings"
FILES = sorted(FOLDER.glob("*/*.json"))
EVERY = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")

RECORDED_ELSEWHERE = frozenset(
    {
        "openai",
        "azure",
        "groq",
        "openrouter",
        "together",
        "deepseek",
        "mistral",
        "huggingface",
        "xai",
        "vllm",
        "llamacpp",
    }
)
"""Vendors of OpenAI's wire with whom there are real recorded exchanges."""
NO_VENDORS = frozenset({"openai_compatible", "simulated"})


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # an object


async def replayed(recorded: dict[str, Any]) -> tuple[Any, httpx.Request]:
    """What we make of the answer, and what we sent."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        told = recorded["response"]
        return httpx.Response(told["status"], headers=told["headers"], content=told["body_text"].encode())

    target = provider(recorded["vendor"], api_key="sk-123456789", transport=httpx.MockTransport(answer))
    request = ChatRequest.model_validate(recorded["request"]["json"] | {"model": recorded["model"]})
    reply = await target(Call.start(request))
    return (await reply.response() if request.stream else reply), seen[0]  # type: ignore[union-attr]  # as it was asked for


@EVERY
async def test_the_request_is_sent_again_as_it_was(path: Path) -> None:
    recorded = read(path)
    _, sent = await replayed(recorded)
    asked = recorded["request"]
    assert (sent.method, sent.url.path, json.loads(sent.content)) == (asked["method"], asked["path"], asked["json"])


@EVERY
async def test_the_answer_is_what_the_official_types_say(path: Path) -> None:
    recorded = read(path)
    reply, _ = await replayed(recorded)
    body = recorded["response"]["body_text"]
    if not recorded["request"]["json"]["stream"]:
        theirs = ChatCompletion.model_validate_json(body)
        assert (reply.id, reply.model, reply.text) == (theirs.id, theirs.model, theirs.choices[0].message.content)
        assert reply.finish_reason == theirs.choices[0].finish_reason
        assert theirs.usage is not None
        assert reply.usage.completion_tokens == theirs.usage.completion_tokens
        return
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: {")]
    chunks = [ChatCompletionChunk.model_validate_json(line) for line in lines]
    deltas = [choice for chunk in chunks for choice in chunk.choices]
    assert reply.text == "".join(choice.delta.content or "" for choice in deltas)
    assert [reply.finish_reason] == [choice.finish_reason for choice in deltas if choice.finish_reason]
    assert reply.usage.completion_tokens == next(chunk.usage for chunk in chunks if chunk.usage).completion_tokens


@EVERY
def test_a_recording_is_of_a_vendor_and_holds_no_key(path: Path) -> None:
    recorded = read(path)
    assert row_of(recorded["vendor"]).name == path.parent.name
    assert "authorization" not in path.read_text(encoding="utf-8").lower()
    assert path.stat().st_size < 20_000


def recorded_into(folder: Path) -> subprocess.CompletedProcess[str]:
    server = SimulatedServer(SimulatedVendor(timing=Timing(scale=0)))
    with server.run_in_thread():
        command = [sys.executable, FOLDER / "record.py", "openai", "gpt-sim", "--base-url", server.openai_base_url]
        command += ["--api-key", "sk-123456789", "--into", folder]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_recording_is_made_by_one_command(tmp_path: Path) -> None:
    ran = recorded_into(tmp_path)
    assert ran.returncode == 0, ran.stderr
    made = [tmp_path / "openai" / f"{name}.json" for name in ("chat", "chat-stream")]
    assert all("sk-123456789" not in file.read_text(encoding="utf-8") for file in made)
    assert all(asyncio.run(replayed(read(file)))[0].text for file in made)


def test_every_vendor_of_openais_wire_has_a_recording() -> None:
    ours = {path.parent.name for path in FILES}
    assert {row.name for row in ROWS if row.codec == "openai"} - NO_VENDORS - RECORDED_ELSEWHERE == ours


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no recorded exchanges at {CORPUS}")
def test_the_others_are_recorded_elsewhere() -> None:
    assert {name for name in RECORDED_ELSEWHERE if not any((CORPUS / name).glob("*.json"))} == set()
