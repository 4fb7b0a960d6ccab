"""`glassway explain`: a plan, or a dry run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from ..pipeline.config import load_config
from ..pipeline.default import default_client
from ..pipeline.errors import ConfigError
from .chat import usual_model

if TYPE_CHECKING:
    from pathlib import Path

    from ..pipeline.client import Client
    from .app import PlanFormat


def explain(config: Path | None, *, prompt: str | None, model: str | None, form: PlanFormat) -> None:
    """Print it. Raises `ConfigError` and `PlanError`."""
    with _client(config) as client:
        if prompt is None and model is None:
            sys.stdout.write(f"{_plan(client, form)}\n")
        elif form == "text":
            asked = [{"role": "user", "content": prompt or "Hello"}]
            sys.stdout.write(f"{client.explain(model or usual_model(), asked)}\n")
        else:
            raise ConfigError(
                f"--format {form}: a dry run is written as text. Leave --prompt and --model out for the plan."
            )


def _client(config: Path | None) -> Client:
    return load_config(config).client(telemetry=False) if config else default_client()


def _plan(client: Client, form: PlanFormat) -> str:
    plan = client.explain()
    if form == "mermaid":
        return plan.to_mermaid()
    return json.dumps(plan.to_dict(), indent=2) if form == "json" else str(plan)
