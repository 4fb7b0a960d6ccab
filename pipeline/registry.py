"""Names that callers use as models."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ConfigError


@dataclass(frozen=True, slots=True)
class Registration:
    """What a name stands for: a target (`vendor/model`, or another name) and defaults for the call.

    `defaults` are keyword arguments of `completion`; those of a call win. They may hold a key: they are not shown.
    """

    name: str
    target: str
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Registry:
    """Named configurations. Safe for several threads; an instance of its own isolates tests and tenants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Registration] = {}

    def register(self, name: str, target: str, **defaults: Any) -> Registration:
        """Let `name` stand for `target` with `defaults`; replaces an earlier one of that name.

        Raises `ConfigError` if the name is empty or would stand for itself.
        """
        if not name or not target:
            raise ConfigError(
                f"register: expected a name and a target such as 'openai/gpt-4o-mini', found {name!r} and {target!r}."
            )
        entry = Registration(name, target, defaults)
        with self._lock:
            self._check_cycle({**self._entries, name: entry}, name)
            self._entries[name] = entry
        return entry

    def unregister(self, name: str) -> bool:
        """Forget a name; whether it was known."""
        with self._lock:
            return self._entries.pop(name, None) is not None

    def list(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._entries))

    def get(self, name: str) -> Registration | None:
        """What a name stands for, or None."""
        return self._entries.get(name)

    def clear(self) -> None:
        """Forget all names."""
        with self._lock:
            self._entries.clear()

    def resolve(self, model: str) -> tuple[str, dict[str, Any]]:
        """(target, defaults) of a name, through names that stand for names; an unknown one is a target itself."""
        defaults: dict[str, Any] = {}
        while (entry := self._entries.get(model)) is not None:
            defaults = {**entry.defaults, **defaults}
            model = entry.target
        return model, defaults

    def setup(self, vendor: str, *, name: str | None = None, model: str | None = None, **defaults: Any) -> Registration:
        """Register a vendor under its own name (or `name`), with its key from `api_key=` or the environment.

        `model` is what the name then means; by default a small chat model of the vendor. Raises `ConfigError` if the vendor
        is unknown, needs a key and has none, or has no default model.
        """
        from ..providers.catalogue import row_of

        row = row_of(vendor)
        chosen = model or row.default_model
        if chosen is None:
            raise ConfigError(f"setup({vendor!r}): expected model=..., because {row.name} has no usual one.")
        if (
            "api_key" not in defaults
            and row.key_variables
            and not any(os.environ.get(key) for key in row.key_variables)
        ):
            raise ConfigError(
                f"setup({vendor!r}): expected api_key=... or {' or '.join(row.key_variables)} in the environment, found neither."
            )
        return self.register(name or row.name, f"{row.name}/{chosen}", **defaults)

    def quick_setup(self) -> tuple[str, ...]:
        """Register every vendor whose key is in the environment; returns their names. Without any, the embedded `simulated`."""
        from ..providers.catalogue import ROWS

        found = [row for row in ROWS if row.default_model and any(os.environ.get(key) for key in row.key_variables)]
        names = [self.setup(row.name).name for row in found]
        return tuple(names or [self.setup("simulated").name])

    def _check_cycle(self, entries: Mapping[str, Registration], start: str) -> None:
        seen = [start]
        while (entry := entries.get(seen[-1])) is not None:
            if entry.target in seen:
                raise ConfigError(
                    f"register: {' -> '.join([*seen, entry.target])} goes round in a circle. Let one of them stand for a vendor's model."
                )
            seen.append(entry.target)
