"""`glassway explain`: a plan, or a dry run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from ..pipeline.errors import ConfigError
from .chat import usual_model
from .clients import client_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..pipeline.client import Client
    from .app import PlanFormat


def explain(config: Path | None, *, prompt: str | None, model: str | None, form: PlanFormat) -> None:
    """Print it. Raises `ConfigError` and `PlanError`."""
    with client_of(config, telemetry=False) as client:
        if prompt is None and model is None:
            sys.stdout.write(f"{_plan(client, form)}\n")
        elif form == "text":
            asked = [{"role": "user", "content": prompt or "Hello"}]
            sys.stdout.write(f"{client.explain(model or usual_model(client), asked)}\n")
        else:
            raise ConfigError(
                f"--format {form}: a dry run is written as text. Leave --prompt and --model out for the plan."
            )


def _plan(client: Client, form: PlanFormat) -> str:
    plan = client.explain()
    if form == "mermaid":
        return plan.to_mermaid()
    return json.dumps(plan.to_dict(), indent=2) if form == "json" else str(plan)
