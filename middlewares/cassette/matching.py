"""Which recorded request is the one that is asked now: everything that should make no difference is taken out of both first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from ...pipeline.types import Request
from .masking import Mask
from .plain import Plain

VOLATILE: tuple[str, ...] = ("user", "metadata", "stream_options")
"""Fields of a request that leave the answer as it is."""

_IDS = frozenset({"id", "tool_call_id", "call_id"})
_DIGEST_BYTES = 16
_MOST_SHOWN = 5


class Question(NamedTuple):
    """A request without what makes no difference, and a digest of that."""

    plain: Plain
    key: str


class Matcher(NamedTuple):
    """How requests are compared."""

    ignore: tuple[str, ...] = VOLATILE
    mask: Mask = Mask()

    def question(self, request: Request, target: str, *, masked: bool = False) -> Question:
        """`masked`: the request comes from a cassette, and secrets are out of it already.

        Fields that are not set count like null and like their defaults, the order of keys makes no difference, and ids (of tool
        calls, of messages) count only by where they come again.
        """
        body = request.model_dump(mode="json", by_alias=True, exclude_none=True)
        body.pop("model", None)
        plain: Plain = {"operation": request.operation, "target": target, **(body if masked else self.mask.value(body))}
        for path in self.ignore:
            _remove(plain, path.split("."))
        plain = _numbered(plain, {})
        text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
        return Question(plain, blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest())


def _remove(value: Any, path: Sequence[str]) -> None:
    name, rest = path[0], path[1:]
    if name == "*" and not rest and isinstance(value, (list, dict)):
        value.clear()
    elif isinstance(value, list):
        for item in value if name == "*" else ():
            _remove(item, rest)
    elif isinstance(value, dict) and not rest:
        value.pop(name, None)
    elif isinstance(value, dict):
        for item in value.values() if name == "*" else [value.get(name)]:
            _remove(item, rest)


def _numbered(value: Any, known: dict[str, str], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _numbered(item, known, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbered(item, known, name) for item in value]
    if name in _IDS and isinstance(value, str):
        return known.setdefault(value, f"#{len(known) + 1}")
    return value


def differences(one: Plain, other: Plain) -> list[str]:
    """The paths at which two questions differ. Paths alone: what stands there is content."""
    here, there = dict(_leaves(one)), dict(_leaves(other))
    nowhere = object()
    return [path for path in dict.fromkeys((*here, *there)) if here.get(path, nowhere) != there.get(path, nowhere)]


def likeness(one: Plain, other: Plain) -> float:
    """The share of paths at which two questions agree."""
    paths = len({path for path, _ in (*_leaves(one), *_leaves(other))})
    return 1 - len(differences(one, other)) / paths if paths else 1.0


def told(paths: Sequence[str]) -> str:
    """Some paths in words."""
    more = f" and {len(paths) - _MOST_SHOWN} more" if len(paths) > _MOST_SHOWN else ""
    return ", ".join(paths[:_MOST_SHOWN]) + more


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value
