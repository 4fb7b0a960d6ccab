"""Instances of JSON schemas: what a model with structured output would return.

Covers what vendors accept for structured output and tools: objects, arrays, scalars, `enum`, `const`,
`anyOf`, `oneOf`, `allOf`, local `$ref`, bounds and common formats. `pattern` and conditionals are ignored.
Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from .reading import Json, integer, items, mapping, objects, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .dice import Dice

_OPTIONAL_DEPTH = 4
_MOST_DEPTH = 24
_MOST_VALUES = 2000
_MOST_NUMBER = 1e15
_MOST_ITEMS = 32
_WORDS = (
    "amber",
    "birch",
    "cobalt",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "indigo",
    "juniper",
    "lumen",
    "mesa",
)
_FORMATS = {
    "date": "2025-03-14",
    "date-time": "2025-03-14T09:26:53Z",
    "time": "09:26:53Z",
    "duration": "PT15M",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "6f1c1a52-7a8e-4c1b-9d35-0e6a4f2b8c11",
}


def instance_of(schema: Json, dice: Dice, hints: Mapping[str, str] | None = None) -> object:
    """A value that satisfies `schema`, the same for the same `dice`.

    `hints` gives strings for properties by name (a city that the user spoke of). Recursive schemas end:
    optional properties are left out below a few levels, and an instance has a few thousand values at most.
    """
    return _Maker(schema, hints or {}).make(schema, dice, "", 0)


@dataclass(frozen=True, slots=True)
class _Maker:
    root: Json
    hints: Mapping[str, str]
    made: Iterator[int] = field(default_factory=count)

    def make(self, schema: Json, dice: Dice, name: str, depth: int) -> object:
        if depth > _MOST_DEPTH or next(self.made) > _MOST_VALUES:
            return None
        schema = self._resolved(schema, dice, depth)
        if "const" in schema:
            return schema["const"]
        if options := items(schema.get("enum")):
            return dice.pick(options)
        maker = self._makers().get(_type_of(schema, depth))
        return maker(schema, dice, name, depth) if maker else None

    def _makers(self) -> Mapping[str, Callable[[Json, Dice, str, int], object]]:
        return {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, dice, _name, _depth: bool(dice.below(2)),
        }

    def _resolved(self, schema: Json, dice: Dice, depth: int) -> Json:
        for _ in range(_MOST_DEPTH):
            if isinstance(reference := schema.get("$ref"), str):
                schema = {**self._target(reference), **_without(schema, "$ref")}
            elif options := objects(schema.get("anyOf") or schema.get("oneOf")):
                chosen = _plainest(options) if depth >= _OPTIONAL_DEPTH else dice.pick(options)
                schema = _merged(_without(schema, "anyOf", "oneOf"), chosen)
            elif parts := objects(schema.get("allOf")):
                schema = _without(schema, "allOf")
                for part in parts:
                    schema = _merged(schema, self._target(string(part["$ref"])) if "$ref" in part else part)
            else:
                break
        return schema

    def _target(self, reference: str) -> Json:
        node: object = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                node = mapping(node).get(step.replace("~1", "/").replace("~0", "~"))
        return mapping(node)

    def _object(self, schema: Json, dice: Dice, _name: str, depth: int) -> dict[str, object]:
        required = items(schema.get("required"))
        return {
            key: self.make(mapping(value), dice.child(key), key, depth + 1)
            for key, value in mapping(schema.get("properties")).items()
            if depth < _OPTIONAL_DEPTH or key in required
        }

    def _array(self, schema: Json, dice: Dice, name: str, depth: int) -> list[object]:
        fixed = [mapping(item) for item in items(schema.get("prefixItems"))]
        least = max(integer(schema.get("minItems")) or 0, len(fixed))
        most = integer(schema.get("maxItems"))
        wanted = max(least, 0 if depth >= _OPTIONAL_DEPTH else 1 + dice.below(2))
        wanted = min(wanted, _MOST_ITEMS if most is None else most, _MOST_ITEMS)
        schemas = (fixed + [mapping(schema.get("items"))] * wanted)[:wanted]
        found: list[object] = []
        for index, item in enumerate(schemas):
            found.append(self._item(item, dice.child(index), name, depth, found if schema.get("uniqueItems") else ()))
        return found

    def _item(self, schema: Json, dice: Dice, name: str, depth: int, taken: object) -> object:
        value = self.make(schema, dice, name, depth + 1)
        for attempt in range(_MOST_ITEMS):
            if value not in items(taken):
                break
            value = self.make(schema, dice.child("again", attempt), name, depth + 1)
        return value

    def _string(self, schema: Json, dice: Dice, name: str, _depth: int) -> str:
        known = _FORMATS.get(string(schema.get("format"))) or self.hints.get(name)
        value = known or f"{dice.pick(_WORDS)} {dice.pick(_WORDS)}"
        least, most = integer(schema.get("minLength")) or 0, integer(schema.get("maxLength"))
        return value.ljust(min(least, 10_000), "x")[:most]

    def _integer(self, schema: Json, dice: Dice, _name: str, _depth: int) -> int:
        low, high = _bounds(schema, step=1)
        unit = max(int(_number(schema.get("multipleOf")) or 1), 1)
        first = -(-math.ceil(low) // unit) * unit
        return first + unit * dice.below(max((math.floor(high) - first) // unit + 1, 1))

    def _number(self, schema: Json, dice: Dice, _name: str, _depth: int) -> float:
        if schema.get("multipleOf"):
            return float(_number(schema.get("multipleOf")) or 1)
        low, high = _bounds(schema, step=1e-6)
        value = round(low + (high - low) * dice.fraction(), 2)
        return value if low <= value <= high else low


def _type_of(schema: Json, depth: int) -> str:
    declared = schema.get("type")
    if isinstance(declared, str):
        return declared
    names = [name for name in items(declared) if isinstance(name, str)]
    if names:
        return "null" if depth >= _OPTIONAL_DEPTH and "null" in names else names[0]
    return next((kind for key, kind in (("properties", "object"), ("items", "array")) if key in schema), "string")


def _plainest(options: list[Json]) -> Json:
    nested = ("$ref", "properties", "items", "anyOf", "oneOf", "allOf")
    return min(options, key=lambda option: (any(key in option for key in nested), option.get("type") != "null"))


def _merged(left: Json, right: Json) -> Json:
    both = {**left, **right}
    for key in ("properties", "$defs"):
        if key in left and key in right:
            both[key] = {**mapping(left[key]), **mapping(right[key])}
    if "required" in left and "required" in right:
        both["required"] = [*items(left["required"]), *items(right["required"])]
    return both


def _without(schema: Json, *keys: str) -> Json:
    return {key: value for key, value in schema.items() if key not in keys}


def _bounds(schema: Json, *, step: float) -> tuple[float, float]:
    low, above = _number(schema.get("minimum")), _number(schema.get("exclusiveMinimum"))
    high, under = _number(schema.get("maximum")), _number(schema.get("exclusiveMaximum"))
    lows = [value for value in (low, None if above is None else above + step) if value is not None]
    highs = [value for value in (high, None if under is None else under - step) if value is not None]
    bottom = max(lows) if lows else min([0.0, *highs])
    return bottom, min(highs) if highs else max(bottom, 0.0) + 100


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # Comparing keeps out NaN and infinity too, which JSON numbers such as 1e999 become.
    return value if -_MOST_NUMBER < value < _MOST_NUMBER else None
