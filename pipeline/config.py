"""A pipeline from YAML: the same as in Python, where a stage's entry is its constructor call.

providers:
  openai: {api_key: "${OPENAI_API_KEY}"}
  box:    {type: openai_compatible, base_url: "http://127.0.0.1:8000/v1"}
models:
  fast:   {target: openai/gpt-4o-mini}
store: redis://127.0.0.1:6379/0   # of all stages that keep something and do not say where
pipeline: [tracing, cost, guardrails: {rules: [secrets]}, cache: {ttl_s: 3600}, retry: {attempts: 3}]
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .client import Client
from .errors import ConfigError, MissingExtraError
from .pipeline import Pipeline
from .presets import PRESETS, takes_store
from .registry import Registry
from .stagenames import keeps, make_stage, snake
from .stream import Middleware
from .telemetry import Telemetry

if TYPE_CHECKING:
    from ..stores import Store

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_TOP = ("providers", "models", "store", "pipeline", "timeout_s", "attempts")


@dataclass(frozen=True)
class Config:
    """What a configuration file says, checked: every key known, every variable filled in. Shows no secrets."""

    providers: Mapping[str, Mapping[str, Any]] = field(repr=False)
    models: Mapping[str, Mapping[str, Any]] = field(repr=False)
    stages: Sequence[tuple[str, Mapping[str, Any]]] = field(repr=False)
    timeout_s: float | None = 600.0
    attempts: int = 10
    preset: str | None = None
    """`pipeline: production` is the preset of that name with its usual settings."""
    store: str | None = field(default=None, repr=False)
    """Where stages keep what they know that do not say it themselves: one store, shared by all of them."""

    @classmethod
    def read(cls, data: Any, environ: Mapping[str, str] | None = None) -> Self:
        """Check data as YAML gives it. Raises `ConfigError` with the path of what is wrong."""
        filled = _fill(data, os.environ if environ is None else environ, "")
        top = _mapping(filled, "the configuration")
        _known(top, _TOP, "")
        pipeline = top.get("pipeline", [])
        preset = pipeline if isinstance(pipeline, str) else None
        if preset is not None and preset not in PRESETS:
            raise ConfigError(
                f"pipeline: expected a list of stages, found str {preset!r}. Known presets: {', '.join(PRESETS)}."
            )
        if preset is None and not isinstance(pipeline, Sequence):
            raise ConfigError(f"pipeline: expected a list of stages, found {type(pipeline).__name__}.")
        return cls(
            providers={
                name: _mapping({} if entry is None else entry, f"providers.{name}")
                for name, entry in _mapping(top.get("providers", {}), "providers").items()
            },
            models={
                name: _model(entry, f"models.{name}")
                for name, entry in _mapping(top.get("models", {}), "models").items()
            },
            stages=[] if preset else [_stage(entry, f"pipeline[{index}]") for index, entry in enumerate(pipeline)],
            preset=preset,
            timeout_s=_number(top.get("timeout_s", 600.0), "timeout_s"),
            attempts=_count(top.get("attempts", 10), "attempts"),
            store=_text(top.get("store"), "store"),
        )

    def pipeline(self, *, telemetry: Telemetry | bool | None = None, but: Collection[str] = ()) -> Pipeline:
        """The pipeline, without the stages that are named in `but`. Raises `ConfigError` and `PlanError`; nothing is opened yet."""
        from ..providers import every_provider, provider

        made = [
            _made(f"providers.{name}", provider, entry.get("type", name), name=name, **_without(entry, "type"))
            for name, entry in self.providers.items()
        ]
        return Pipeline(
            [stage for _, stage in self.made_stages(but=but)],
            providers=made or every_provider(),
            timeout_s=self.timeout_s,
            attempts=self.attempts,
            telemetry=telemetry,
        )

    def made_stages(self, *, but: Collection[str] = ()) -> list[tuple[str, Middleware]]:
        """The stages, with the names that a configuration has for them, without those named in `but`. Raises `ConfigError`."""
        shared = self._shared()
        if self.preset is not None:
            preset = PRESETS[self.preset]
            stages = preset(**shared) if takes_store(preset) else preset()
            named = [(snake(type(stage).__name__), stage) for stage in stages]
            return [(name, stage) for name, stage in named if name not in but]
        return [
            (name, _made(f"pipeline.{name}", make_stage, name, {**shared, **settings} if keeps(name) else settings))
            for name, settings in self.stages
            if name not in but
        ]

    def _shared(self) -> dict[str, Store]:
        """The one store as a setting; none where each stage has its own."""
        if self.store in (None, "memory"):
            return {}
        return {"store": import_module("..stores", __package__).make_store(self.store)}

    def registry(self) -> Registry:
        """The models' names."""
        registry = Registry()
        groups = {name: entry for name, entry in self.models.items() if "targets" in entry}
        for name, entry in self.models.items():  # groups may name these
            if name not in groups:
                _made(f"models.{name}", registry.register, name, entry["target"], **entry.get("defaults", {}))
        for name, entry in groups.items():
            chosen = {"targets": entry["targets"], "strategy": entry["strategy"]}
            _made(f"models.{name}", registry.register, name, **chosen, **entry["defaults"])
        return registry

    def client(self, *, telemetry: Telemetry | bool | None = None) -> Client:
        """A client of the pipeline, which knows the models' names."""
        return Client(self.pipeline(telemetry=telemetry), registry=self.registry())


def load_config(path: str | Path) -> Config:
    """Read a YAML file. `${VAR}` and `${VAR:-default}` are filled in from the environment.

    Raises `ConfigError` with the path of an unknown key, a missing variable or a wrong type, and with line and column for
    YAML that cannot be read; `MissingExtraError` without the `yaml` extra.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("Reading YAML", "yaml") from error
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give the path of a YAML file.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(
            f"{path}: {where}{error.problem or 'not valid YAML'}."
        ) from None  # the original quotes the line, which may hold a key
    except (UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"{path}: expected YAML in UTF-8, found bytes that no text has.") from None
    return Config.read({} if data is None else data)


def _fill(value: Any, environ: Mapping[str, str], path: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill(item, environ, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, environ, f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = environ.get(match["name"]) or match["default"]
        if found is None:
            raise ConfigError(
                f"{path}: the variable {match['name']} is not set. Set it, or write ${{{match['name']}:-default}}."
            )
        return found

    return _VARIABLE.sub(variable, value)


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: expected a mapping (name: value), found {type(value).__name__}.")
    return {str(key): item for key, item in value.items()}


def _known(found: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    for key in found:
        if key not in known:
            raise ConfigError(f"{f'{path}.{key}' if path else key}: unknown key. Known here: {', '.join(known)}.")


def _model(entry: Any, path: str) -> Mapping[str, Any]:
    if isinstance(entry, str):
        return {"target": entry}
    found = _mapping(entry, path)
    _known(found, ("target", "targets", "strategy", "defaults"), path)
    defaults = _mapping(found.get("defaults", {}), f"{path}.defaults")
    if "targets" in found:
        if "target" in found:
            raise ConfigError(f"{path}: expected target or targets, found both.")
        return {"targets": found["targets"], "strategy": found.get("strategy"), "defaults": defaults}
    if not isinstance(found.get("target"), str):
        raise ConfigError(f"{path}.target: expected 'vendor/model', found {type(found.get('target')).__name__}.")
    if "strategy" in found:
        raise ConfigError(f"{path}.strategy: chooses among targets. Give targets: [...].")
    return {"target": found["target"], "defaults": defaults}


def _stage(entry: Any, path: str) -> tuple[str, Mapping[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    found = _mapping(entry, path)
    if len(found) != 1:
        raise ConfigError(f"{path}: expected a stage's name, or name: {{settings}}; found {len(found)} keys.")
    [(name, settings)] = found.items()
    return name, _mapping({} if settings is None else settings, f"{path}.{name}")


def _number(value: Any, path: str) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ConfigError(f"{path}: expected a number, found {type(value).__name__}.")
    return value


def _text(value: Any, path: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{path}: expected text, found {type(value).__name__}.")
    return value


def _count(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{path}: expected a whole number, found {type(value).__name__}.")
    return value


def _without(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


def _made(path: str, make: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return make(*args, **kwargs)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error
    except TypeError as error:
        raise ConfigError(f"{path}: {_unexpected(error)}") from error


def _unexpected(error: TypeError) -> str:
    match = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return f"unknown key {match[1]!r}." if match else "a setting is missing or of the wrong type."
