"""Names that callers use as models."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from ..middlewares.router.group import Group, MemberLike, RouteFunction
    from ..middlewares.router.strategies import Strategy


@dataclass(frozen=True, slots=True)
class Registration:
    """What a name stands for: a target (`vendor/model`, or another name) and defaults for the call.

    `defaults` are keyword arguments of `completion`; those of a call win. They may hold a key: they are not shown.
    """

    name: str
    target: str
    """Empty for a group."""
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)
    group: Group | None = None
    """Where the name stands for several targets."""


class Registry:
    """Named configurations. Safe for several threads; an instance of its own isolates tests and tenants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Registration] = {}

    def register(
        self,
        name: str,
        target: str | None = None,
        *,
        targets: Sequence[MemberLike] | None = None,
        strategy: Strategy | str | Mapping[str, Any] | None = None,
        route: RouteFunction | None = None,
        **defaults: Any,
    ) -> Registration:
        """Let `name` stand for `target` with `defaults`; replaces an earlier one of that name.

        Or for a group: `targets` (`vendor/model`, or names that are registered already; with weights as
        `{"target": ..., "weight": 2}`) of which `strategy` chooses one for each call, or `route`, a function of the call. A
        pipeline needs a `Router` stage for that; the default one has it.

        Raises `ConfigError` if the name is empty, would stand for itself, or for a group that cannot be.
        """
        several = targets is not None or route is not None
        if not name or bool(target) == several:
            raise ConfigError(
                f"register: expected a name and a target such as 'openai/gpt-4o-mini', or targets; found {name!r} and {target!r}."
            )
        if strategy is not None and not several:
            raise ConfigError("register: strategy chooses among targets. Give targets=[...].")
        group = self._group(name, targets or (), strategy or "priority", route) if several else None
        entry = Registration(name, target or "", defaults, group)
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
        """(target, defaults) of a name, through names that stand for names; an unknown one is a target itself, and so is a group's."""
        defaults: dict[str, Any] = {}
        while (entry := self._entries.get(model)) is not None:
            defaults = {**entry.defaults, **defaults}
            if entry.group is not None:
                break
            model = entry.target
        return model, defaults

    def group(self, model: str) -> Group | None:
        """The group that a name stands for, if it is one."""
        entry = self._entries.get(model)
        return entry.group if entry is not None else None

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

    def quick_setup(self, *, env_file: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
        """Register every vendor whose key is in the environment; returns their names. Without any, the embedded `simulated`.

        `env_file`: a file of `NAME=value` lines that is read into the environment before; what is set there already stays.
        Raises `ConfigError` if it cannot be read.
        """
        from ..providers.catalogue import ROWS

        if env_file is not None:
            _read_env(env_file)

        found = [row for row in ROWS if row.default_model and any(os.environ.get(key) for key in row.key_variables)]
        names = [self.setup(row.name).name for row in found]
        return tuple(names or [self.setup("simulated").name])

    def _group(
        self,
        name: str,
        targets: Sequence[MemberLike],
        strategy: Strategy | str | Mapping[str, Any],
        route: RouteFunction | None,
    ) -> Group:
        from ..middlewares.router import Group

        try:
            group = Group(targets, strategy, route, name=name)
            members = []
            for place, member in enumerate(group.members):
                if member.target == name or self.group(self.resolve(member.target)[0]) is not None:
                    this = ", this one" if member.target == name else ""
                    raise ConfigError(
                        f"targets[{place}]: {member.target!r} is a group itself{this}. Name its targets here."
                    )
                members.append(replace(member, target=self.resolve(member.target)[0]))
            return Group(members, strategy, route, name=name)
        except ConfigError as error:
            raise ConfigError(f"register({name!r}): {error.message}") from error

    def _check_cycle(self, entries: Mapping[str, Registration], start: str) -> None:
        seen = [start]
        while (entry := entries.get(seen[-1])) is not None:
            if entry.target in seen:
                raise ConfigError(
                    f"register: {' -> '.join([*seen, entry.target])} goes round in a circle. Let one of them stand for a vendor's model."
                )
            seen.append(entry.target)


def _read_env(path: str | os.PathLike[str]) -> None:
    """`NAME=value`, with or without `export` and quotes; `#` begins a comment. Values are never shown."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a file of NAME=value lines ({type(error).__name__}).") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ENV_LINE.fullmatch(line)
        if match is None:
            raise ConfigError(f"{path}, line {number}: expected NAME=value.")
        quoted = match["double"] if match["double"] is not None else match["single"]
        os.environ.setdefault(match["name"], quoted if quoted is not None else (match["plain"] or "").strip())


_ENV_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^#"']*?))\s*(?:\#.*)?"""
)
