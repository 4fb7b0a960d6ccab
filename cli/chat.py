"""`glassway chat`: one question, one answer, and what happened."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..pipeline.errors import ConfigError, GlasswayError
from .clients import client_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..pipeline.client import Client
    from ..pipeline.record import Record
    from .app import Show


def chat(
    prompt: str, *, model: str | None, system: str | None, config: Path | None, stream: bool, show: Show | None
) -> None:
    """Print the answer; then what `show` says, of a failed call too. Raises errors of `glassway.errors`."""
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ConfigError("Expected a prompt, found nothing. Give one: glassway chat 'What is 2+2?'")
    record: Record | None = None
    try:
        with client_of(config) as client:
            record = _answer(client, model or usual_model(client), text, system, stream=stream)
    except GlasswayError as error:
        record = error.record
        raise
    finally:
        _show(record, show or ("waterfall" if sys.stderr.isatty() else "none"))


def usual_model(client: Client) -> str:
    """Whom to ask when nobody is named; says which, and why, on standard error.

    The first model that the configuration names; else a usual one of the first vendor whose key is in the environment;
    else the embedded one.
    """
    if named := client.registry.list():
        return _said(named[0], "the configuration's first")
    from ..providers.catalogue import ROWS

    for row in ROWS:
        variable = next((name for name in row.key_variables if os.environ.get(name)), None)
        if variable and row.default_model:
            return _said(f"{row.name}/{row.default_model}", f"{variable} is set")
    return _said("simulated/gpt-sim", "no vendor's key is in the environment: the embedded vendor answers")


def _said(model: str, why: str) -> str:
    sys.stderr.write(f"model: {model} ({why})\n")
    return model


def _answer(client: Client, model: str, prompt: str, system: str | None, *, stream: bool) -> Record | None:
    if not stream:
        response = client.chat(model, prompt, system=system)
        sys.stdout.write(f"{response.text}\n")
        return response.record
    with client.chat(model, prompt, system=system, stream=True) as chunks:
        try:
            for chunk in chunks:
                sys.stdout.write(chunk.text)
                sys.stdout.flush()
        finally:
            sys.stdout.write("\n")
        return chunks.response().record


def _show(record: Record | None, show: Show) -> None:
    if record is None or show == "none":
        return
    from .show import console, show_record, show_waterfall

    screen = console(stderr=True)
    show_waterfall(screen, record)
    if show == "record":
        show_record(screen, record)
