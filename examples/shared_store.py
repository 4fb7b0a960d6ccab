"""Several processes, one state: two gateways with one store share limits, budgets, answers and circuits.

The store is a folder here, for the processes of one machine; `GLASSWAY_STORE=redis://127.0.0.1:6379/0` makes it a Redis.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from glassway import load_config
from glassway.pipeline.errors import RateLimitExceeded

CONFIG = """
providers: {simulated: {}}
store: "${GLASSWAY_STORE:-disk:%s/state}"
pipeline:
  - cost
  - cache: {}
  - rate_limit: {requests_per_minute: 3}
  - budget: {budgets: [{usd: 0.01, period: day, name: house}]}
"""
QUESTIONS = ("What is the capital of Italy?", "What is the capital of Spain?", "What is the capital of Norway?")


def gateway(config: str, name: str, questions: tuple[str, ...]) -> None:
    """One process."""
    with load_config(config).client() as client:
        for question in questions:
            try:
                reply = client.chat("simulated/gpt-sim", question, max_tokens=50)
                print(f"{name}: {reply.text} ({reply.record.facts['cache'].verdict}, ${reply.cost:f})")
            except RateLimitExceeded as error:
                print(f"{name}: {error}")
        left = client.health().stages["Budget"]["budgets"]["house"]["left_usd"]
        print(f"{name}: {left} USD left in the house")


if len(sys.argv) > 1:
    gateway(sys.argv[1], sys.argv[2], tuple(sys.argv[3:]))
    raise SystemExit

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "glassway.yaml"
    path.write_text(CONFIG % folder)
    for name, questions in (("first", QUESTIONS[:2]), ("second", (*QUESTIONS, "And of France?"))):
        subprocess.run([sys.executable, __file__, path, name, *questions], check=True)
