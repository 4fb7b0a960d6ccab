"""Many requests from a file: their results into another, broken off and gone on with."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Retry
from glassway.providers import Simulated
from glassway.providers.simulated import SimulatedVendor, Timing

folder = tempfile.TemporaryDirectory()
requests, results = Path(folder.name, "requests.jsonl"), Path(folder.name, "results.jsonl")
with requests.open("w") as file:
    for number in range(40):
        model = "gpt-sim" if number != 7 else "gpt-sim@fail=invalid_request"
        body = {"model": f"simulated/{model}", "messages": [{"role": "user", "content": f"Question {number}"}]}
        line = {"custom_id": f"question-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        file.write(json.dumps(line) + "\n")

stack = Pipeline([Cost(), Retry()], Simulated(vendor=SimulatedVendor(timing=Timing(scale=0))))
with Client(stack) as client:
    with client.batch(requests, output=results, concurrency=8) as batch:  # as they come
        for number, _ in enumerate(batch, 1):
            if number == 10:
                break  # as a kill would
    print(f"broken off: {len(results.read_text().splitlines()) >= 10}")

    with client.batch(requests, output=results, order="given") as batch:
        asked = [result.custom_id for result in batch if not result.ok]
    print(f"the rest: {batch.progress}; {batch.progress.resumed >= 10} that earlier answers were kept")
    print(f"failed: {asked[0]}, and is asked again by the next run")

    lines = [json.loads(line) for line in results.read_text().splitlines()]
    print(f"{len(lines)} lines in the order of the requests: {[line['custom_id'] for line in lines[:3]]}")
    print(f"one of them: {lines[0]['response']['body']['choices'][0]['message']['content'][:40]}...")
    print(f"what it cost: {lines[0]['glassway']}")

folder.cleanup()
