"""JSON schemas as the subset of OpenAPI's that Gemini's older fields take, and back.

Source: https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from .gemini_models import Traits
from .gemini_names import Json, camel
from .notes import Note

_PLAIN: Final = frozenset(
    {"title", "description", "nullable", "default", "example", "pattern", "minimum", "maximum", "required"}
    | {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "propertyOrdering"}
)
_SILENT: Final = frozenset({"$schema", "$id", "$defs", "definitions", "$comment", "strict"})
"""Keywords that constrain nothing by themselves."""
_FORMATS: Final = frozenset({"enum", "date-time", "float", "double", "int32", "int64"})
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties")
_MOST_NODES: Final = 4_096
"""References make a small schema large: behind this many nodes, and inside itself, one ends as an open object."""


def put_schema(holder: Json, schema: Json, subset: str, full: str, traits: Traits, note: Note) -> None:
    """Put `schema` into `holder`: as `subset` where that says all of it, else as `full`, JSON schema, where the model has that.

    Where neither does, what the subset lacks goes into descriptions, with a note.
    """
    lost: set[str] = set()
    converted = _Converter(schema, lost).convert(schema)
    if not lost or not traits.takes_json_schema:
        holder[subset] = converted
        if lost:
            note(f"{subset} of a schema", "emulated", f"moved into descriptions: {', '.join(sorted(lost))[:200]}")
    else:
        holder[full] = schema


class _Converter:
    """Converts one schema; names of keywords that the subset lacks are added to `lost`."""

    def __init__(self, root: Json, lost: set[str]) -> None:
        self._root = root
        self._lost = lost
        self._open: list[str] = []
        self._nodes = 0

    def convert(self, schema: Any) -> Json:
        if not isinstance(schema, Mapping):  # `true` and `false` are schemas too
            return {}
        opened = len(self._open)
        result = self._converted(self._resolved(dict(schema)))
        del self._open[opened:]
        return result

    def _converted(self, merged: Json) -> Json:
        result: Json = {name: value for name, value in merged.items() if name in _PLAIN}
        unsaid: Json = {}
        for name, value in merged.items():
            if name not in _PLAIN and name not in _SILENT:
                self._keyword(result, unsaid, name, value)
        if unsaid:
            self._lost.update(unsaid)
            said = json.dumps(unsaid, ensure_ascii=False, default=str)
            result["description"] = f"{result['description']} {said}" if result.get("description") else said
        return result

    def _resolved(self, schema: Json) -> Json:
        """Without `$ref` (the referred schema stands in its place) and `allOf` (its members are merged)."""
        self._nodes += 1
        reference = schema.pop("$ref", None)
        if isinstance(reference, str):
            found = _lookup(self._root, reference)
            if found is None or reference in self._open or self._nodes > _MOST_NODES:
                self._lost.add("$ref")
                return {"type": "object", **schema}
            self._open.append(reference)
            schema = self._resolved(found) | schema
        for member in schema.pop("allOf", ()):
            schema = _merged(schema, self._resolved(dict(member))) if isinstance(member, Mapping) else schema
        return schema

    def _keyword(self, result: Json, unsaid: Json, name: str, value: Any) -> None:
        match name:
            case "type" if isinstance(value, (str, list)):
                _put_type(result, unsaid, value)
            case "properties" if isinstance(value, Mapping):
                result["properties"] = {key: self.convert(one) for key, one in value.items()}
            case "items":
                result["items"] = self.convert(value)
            case "anyOf" | "oneOf" if isinstance(value, list):
                self._put_choice(result, value)
            case "const" if isinstance(value, str):
                result |= {"type": "STRING", "enum": [value]}
            case "enum" if isinstance(value, list) and all(isinstance(one, str) for one in value):
                result |= {"type": "STRING", "enum": list(value)}
            case "format" if value in _FORMATS:
                result["format"] = value
            case _:
                unsaid[name] = value

    def _put_choice(self, result: Json, members: Any) -> None:
        """`null` as one of the choices is `nullable`; a single choice besides is no choice."""
        real = [one for one in members if not (isinstance(one, Mapping) and one.get("type") == "null")]
        if len(real) < len(members):
            result["nullable"] = True
        if len(real) == 1:
            result |= {name: one for name, one in self.convert(real[0]).items() if name not in result}
        else:
            result["anyOf"] = [self.convert(one) for one in real]


def _put_type(result: Json, unsaid: Json, value: Any) -> None:
    names = [value] if isinstance(value, str) else list(value)
    if "null" in names and len(names) > 1:
        result["nullable"] = True
        names.remove("null")
    if len(names) == 1:
        result["type"] = names[0].upper()
    else:
        unsaid["type"] = value


def _merged(one: Json, other: Json) -> Json:
    both = {**other, **one}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = [*one["required"], *(name for name in other["required"] if name not in one["required"])]
    return both


def _lookup(root: Json, reference: str) -> Json | None:
    if not reference.startswith("#"):
        return None
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step.replace("~1", "/").replace("~0", "~"))
    return dict(found) if isinstance(found, Mapping) else None


def ordered(schema: Json) -> Json:
    """The subset's schema with `propertyOrdering` on each object: without it older models answer in the alphabet's order.

    Source: https://ai.google.dev/gemini-api/docs/structured-output#property-ordering
    """
    result = dict(schema)
    if isinstance(names := schema.get("properties"), Mapping):
        result["properties"] = {name: ordered(one) for name, one in names.items()}
        if len(names) > 1:
            result.setdefault("propertyOrdering", list(names))
    if isinstance(items := schema.get("items"), Mapping):
        result["items"] = ordered(dict(items))
    if isinstance(choices := schema.get("anyOf"), list):
        result["anyOf"] = [ordered(one) for one in choices]
    return result


def json_schema_of(schema: Any) -> Any:
    """A schema of a request to the vendor as JSON schema: types in lower case, `nullable` as a type."""
    if isinstance(schema, list):
        return [json_schema_of(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {camel(name): _inner(camel(name), value) for name, value in schema.items()}
    if result.pop("nullable", False):
        kind = result.get("type")
        result |= {"type": [kind, "null"]} if isinstance(kind, str) else {"nullable": True}
    return result


def _inner(name: str, value: Any) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name in _MAPS and isinstance(value, Mapping):
        return {key: json_schema_of(one) for key, one in value.items()}
    return json_schema_of(value) if name in ("items", "anyOf", "oneOf", "allOf", "prefixItems") else value
