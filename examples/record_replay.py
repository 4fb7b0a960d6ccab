"""A stack recorded once and played again without any vendor: same chunks, same retries, same bill. Nothing leaves this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Record, Replay, Retry
from glassway.pipeline.errors import CassetteMiss
from glassway.pipeline.facts import REPLAYS
from glassway.providers import Simulated
from glassway.providers.simulated import Fault, SimulatedVendor

folder = tempfile.TemporaryDirectory()
cassette = Path(folder.name) / "calls.jsonl"


def questions(client: Client) -> None:
    reply = client.chat("simulated/gpt-sim", "My key is sk-abcdef0123456789abcdef. What is the capital of Italy?")
    assert reply.record is not None
    tries = [attempt.error or "ok" for attempt in reply.record.attempts]
    stream = client.chat("simulated/gpt-sim", "Tell me a story.", stream=True)
    chunks = [chunk.text for chunk in stream]
    print(f"  {reply.text} after {tries}, ${reply.cost}; a stream of {len(chunks)} chunks, ${stream.response().cost}")


busy = SimulatedVendor(faults=[Fault("rate_limit", times=1, retry_after_s=0.1)])
print("recorded:")
with Client(Pipeline([Cost(), Retry(), Record(cassette)], Simulated(vendor=busy))) as client:
    questions(client)

lines = cassette.read_text().splitlines()
print(f"{len(lines)} exchanges, the key in them: {'sk-abcdef' in cassette.read_text()}")

print("played, with no vendor behind:")
with Client(Pipeline([Cost(), Retry(), Replay(cassette, timing=0.1)], Simulated())) as client:
    questions(client)
    played = client.chat("simulated/gpt-sim", "Tell me a story.", stream=True).response().record
    print("  the record says:", played.get(REPLAYS)[0].verdict if played else "nothing")
    try:
        client.chat("simulated/gpt-sim", "Tell me another one.", stream=True)
    except CassetteMiss as miss:
        print("  not recorded:", miss.message.partition("the nearest")[2])

folder.cleanup()
