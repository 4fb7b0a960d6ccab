"""Patterns of names: globs, and regular expressions behind `re:`; and whether one says all that another says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

from .errors import ConfigError

Patterns = str | Sequence[str]
"""One pattern, or several of which one must hold: `gpt-*`, `re:^o[0-9]`."""

_WILD = re.compile(r"[*?\[]")


def patterns_of(given: Patterns, path: str) -> tuple[str, ...]:
    """As a tuple. Raises `ConfigError` for none, for what is no text and for a regular expression that is none."""
    found = (given,) if isinstance(given, str) else tuple(given)
    if not found or not all(isinstance(one, str) and one for one in found):
        raise ConfigError(f"{path}: expected a pattern or a list of at least one, found {given!r}.")
    for one in found:
        _compiled(one, path)
    return found


def matcher(patterns: Sequence[str], path: str = "pattern") -> Callable[[str], bool]:
    """Whether a text matches one of the patterns, as a whole for globs, anywhere for regular expressions. Case counts."""
    if not any(map(_is_pattern, patterns)):
        return frozenset(patterns).__contains__
    tests = [_compiled(one, path) for one in patterns]
    if len(tests) == 1:
        [test] = tests
        return lambda text: test(text) is not None
    return lambda text: any(test(text) for test in tests)


def covers(outer: Sequence[str], inner: Sequence[str]) -> bool:
    """Whether every text that matches `inner` is certain to match `outer`. False also where that is hard to say."""
    return all(any(_covers(one, other) for one in outer) for other in inner)


def _covers(outer: str, inner: str) -> bool:
    if outer in (inner, "*"):
        return True
    if outer.startswith("re:") or inner.startswith("re:"):
        return not inner.startswith("re:") and not _WILD.search(inner) and _compiled(outer, "")(inner) is not None
    if not _WILD.search(inner):
        return _compiled(outer, "")(inner) is not None
    beginning = outer.removesuffix("*")
    return outer.endswith("*") and not _WILD.search(beginning) and _WILD.split(inner)[0].startswith(beginning)


def _is_pattern(text: str) -> bool:
    return text.startswith("re:") or _WILD.search(text) is not None


def _compiled(pattern: str, path: str) -> Callable[[str], re.Match[str] | None]:
    if not pattern.startswith("re:"):
        return re.compile(translate(pattern)).match
    try:
        return re.compile(pattern.removeprefix("re:")).search
    except re.error as error:
        raise ConfigError(f"{path}: {pattern!r} is no regular expression ({error}). Write it anew.") from None
