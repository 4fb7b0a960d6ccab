"""`glassway check`: everything that is wrong with a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..pipeline.config import Config, load_config
from ..pipeline.errors import ConfigError, PlanError
from .show import console

if TYPE_CHECKING:
    from pathlib import Path

    from ..pipeline.pipeline import Pipeline
    from ..pipeline.registry import Registry


@dataclass(frozen=True, slots=True)
class Findings:
    """`problems` make the configuration unusable; `warnings` are probably mistakes; `advice` is on the order of stages."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def check(path: Path) -> bool:
    """Print the findings; whether there are no problems."""
    findings = findings_of(path)
    screen = console()
    for kind, style in (("problems", "red"), ("warnings", "yellow"), ("advice", "cyan")):
        for text in getattr(findings, kind):
            screen.print(f"{kind.removesuffix('s')}: {text}", style=style, soft_wrap=True)
    if not findings.problems:
        screen.print(f"{path}: fine", style="green", soft_wrap=True)
    return not findings.problems


def findings_of(path: Path) -> Findings:
    """Read the file, make the pipeline, look at every target. Raises `MissingExtraError` without the `yaml` extra."""
    try:
        config = load_config(path)
        pipeline = config.pipeline(telemetry=False)
        registry = config.registry()
    except (ConfigError, PlanError) as error:
        return Findings(problems=tuple(dict.fromkeys([*_problems(path), error.message])))
    warnings = [
        *_strangers(config, pipeline),
        *_idle_groups(registry, pipeline),
        *_to_themselves(config),
        *_idle_store(config, pipeline),
    ]
    return Findings(warnings=tuple(warnings), advice=pipeline.explain().advice)


def _problems(path: Path) -> Iterator[str]:
    """What is wrong with each entry for itself: one that cannot be read hides no other."""
    for part, name, shift in _parts(path):
        try:
            Config.read(part).pipeline(telemetry=False)
        except ConfigError as error:
            yield error.message.replace("pipeline[0]", f"pipeline[{shift}]") if name == "pipeline" else error.message
        except PlanError:
            continue  # about the order of all stages: told of the whole


def _parts(path: Path) -> Iterator[tuple[dict[str, Any], str, int]]:
    """Configurations of one entry each, with the key and the place that they come from."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return
    for key, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, Mapping):
            yield from (({key: {name: entry}}, key, 0) for name, entry in value.items())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from (({key: [entry]}, key, place) for place, entry in enumerate(value))
        else:
            yield {key: value}, key, 0


def _strangers(config: Config, pipeline: Pipeline) -> Iterator[str]:
    """Targets whose first part is the name of no provider: they would be taken for a bare model name."""
    known = frozenset(pipeline.providers)
    for where, target in _targets(config):
        if (
            "/" in target
            and target not in config.models
            and not target.startswith("re:")
            and target.partition("/")[0] not in known
        ):
            first = next(iter(known))
            yield (
                f"{where}: {target.partition('/')[0]!r} is no provider here (there are {', '.join(sorted(known))}); "
                f"{target!r} would be asked of {first} as a model's name."
            )


def _idle_groups(registry: Registry, pipeline: Pipeline) -> Iterator[str]:
    """Names that stand for several targets where nothing chooses."""
    if "Router" not in pipeline.stages:
        for name in registry.list():
            if registry.group(name) is not None:
                yield f"models.{name}.targets: no stage chooses among them. Put `router` into the pipeline, before `fallback` and `retry`."


def _to_themselves(config: Config) -> Iterator[str]:
    """Fallbacks to the only target that there is."""
    models = {str(entry.get("target")) for entry in config.models.values()}
    for where, target in _targets(config):
        if ".fallback.targets" in where and len(models) == 1 and target in models:
            yield f"{where}: {target!r} is where every named model goes already: a fallback to itself is skipped."


def _idle_store(config: Config, pipeline: Pipeline) -> Iterator[str]:
    """A store that nobody uses."""
    if config.store is not None and not any(hasattr(stage, "store") for stage in pipeline.stages.values()):
        yield "store: no stage here keeps anything. Leave it out, or add one that does: cache, rate_limit, budget ..."


def _targets(config: Config) -> Iterator[tuple[str, str]]:
    for name, entry in config.models.items():
        if "target" in entry:
            yield f"models.{name}.target", entry["target"]
        yield from _listed(entry.get("targets"), f"models.{name}.targets")
    for index, (name, settings) in enumerate(config.stages):
        path = f"pipeline[{index}].{name}"
        yield from _listed(settings.get("targets"), f"{path}.targets")
        for key in ("default", "fallback", "target"):
            if isinstance(settings.get(key), str):
                yield f"{path}.{key}", settings[key]
        for place, rule in enumerate(_sequence(settings.get("rules"))):
            if isinstance(rule, Mapping) and isinstance(rule.get("target"), str):
                yield f"{path}.rules[{place}].target", rule["target"]
        groups = settings.get("groups")
        for group, given in groups.items() if isinstance(groups, Mapping) else ():
            targets = given.get("targets") if isinstance(given, Mapping) else given
            yield from _listed(targets, f"{path}.groups.{group}.targets")


def _listed(targets: object, path: str) -> Iterator[tuple[str, str]]:
    """Targets as people list them: names, or mappings with one."""
    for place, target in enumerate(_sequence(targets)):
        name = target.get("target") if isinstance(target, Mapping) else target
        yield f"{path}[{place}]", str(name)


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
