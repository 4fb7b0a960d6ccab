"""The rules: what they look for, on which side, and what happens when they find it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal, Protocol

from ...pipeline.errors import ConfigError, MissingExtraError
from . import credentials, pii
from .span import Detector, Excess, Scanner

Action = Literal["block", "redact", "annotate"]
"""Refuse the call; put marks in the place of findings; let it pass and say so."""

Side = Literal["input", "output"]

OnError = Literal["fail_closed", "fail_open"]

Verdict = bool | str | None
"""Of a whole text: None or True for a good one, False for a bad one, a text to be used instead."""


@dataclass(frozen=True, slots=True)
class GuardRule:
    """What all rules have in common. Use one of its kinds.

    `side`: where it applies. `shadow`: it changes nothing and tells what it would have done. `on_error`: what holds when
    it cannot run, `fail_closed` or `fail_open`; None leaves it to the stage. `name`: what it is called in the record.
    """

    default_action: ClassVar[Action] = "block"
    default_side: ClassVar[Literal["input", "output", "both"]] = "both"
    _: KW_ONLY
    action: Action | None = None
    side: Literal["input", "output", "both"] | None = None
    shadow: bool = False
    on_error: OnError | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _one_of(self, "action", ("block", "redact", "annotate", None))
        _one_of(self, "side", ("input", "output", "both", None))
        _one_of(self, "on_error", ("fail_closed", "fail_open", None))

    @property
    def label(self) -> str:
        """The name in the record: `name`, or the kind's."""
        return self.name or _snake(type(self).__name__)

    @property
    def does(self) -> Action:
        """The action that holds."""
        return self.action or self.default_action

    @property
    def enforced(self) -> bool:
        """Whether it can change or stop a call."""
        return not self.shadow and self.does != "annotate"

    def applies(self, side: Side) -> bool:
        """Whether it looks at this side."""
        return (self.side or self.default_side) in (side, "both")

    def scanners(self, holdback_chars: int) -> tuple[Scanner, ...]:
        """What finds stretches of text; `holdback_chars` is for rules that do not know how long their matches are."""
        del holdback_chars
        return ()


@dataclass(frozen=True, slots=True)
class Regex(GuardRule):
    """Blocks what `pattern` (Python's `re`) matches. On streams, matches of up to `longest` characters are found.

    A pattern with nested repeats can take exponential time on short text; Python's `re` cannot be stopped. Test yours.
    """

    pattern: str
    longest: int | None = None
    ignore_case: bool = False

    def __post_init__(self) -> None:
        GuardRule.__post_init__(self)
        self._compiled()
        if self.longest is not None and self.longest < 1:
            raise ConfigError(f"guardrails.{self.label}.longest: expected at least 1, found {self.longest}.")

    def scanners(self, holdback_chars: int) -> tuple[Scanner, ...]:
        """One detector."""
        return (Detector(self.label, self._compiled(), self.longest or holdback_chars, margin=2),)

    def _compiled(self) -> re.Pattern[str]:
        try:
            return re.compile(self.pattern, re.IGNORECASE if self.ignore_case else 0)
        except re.error as error:
            raise ConfigError(
                f"guardrails.{self.label}.pattern: expected a regular expression, found an error in it: {error.msg}."
            ) from None


@dataclass(frozen=True, slots=True)
class PII(GuardRule):
    """Redacts personal data of these `kinds`; numbers with check digits only where the digits are right."""

    default_action: ClassVar[Action] = "redact"
    kinds: tuple[pii.PIIKind, ...] = pii.PII_KINDS

    def __post_init__(self) -> None:
        GuardRule.__post_init__(self)
        object.__setattr__(self, "kinds", tuple(self.kinds))
        unknown = [kind for kind in self.kinds if kind not in pii.PII_KINDS]
        if unknown or not self.kinds:
            raise ConfigError(
                f"guardrails.{self.label}.kinds: expected some of {', '.join(pii.PII_KINDS)}; found {', '.join(unknown) or 'none'}."
            )

    def scanners(self, holdback_chars: int) -> tuple[Scanner, ...]:
        """Those of the kinds."""
        del holdback_chars
        return tuple(detector for kind in self.kinds for detector in pii.DETECTORS[kind])


@dataclass(frozen=True, slots=True)
class Secrets(GuardRule):
    """Redacts API keys and tokens of known forms, private keys, and random values assigned to names like `password`."""

    default_action: ClassVar[Action] = "redact"

    def scanners(self, holdback_chars: int) -> tuple[Scanner, ...]:
        """All there are."""
        del holdback_chars
        return credentials.DETECTORS


@dataclass(frozen=True, slots=True)
class DenyList(GuardRule):
    """Blocks these words and phrases, whatever their case, where they stand as whole words."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        GuardRule.__post_init__(self)
        words: object = self.words
        if (
            not isinstance(words, (list, tuple))
            or not words
            or not all(isinstance(word, str) and word.strip() for word in words)
        ):
            raise ConfigError(
                f"guardrails.{self.label}.words: expected a list of words or phrases, none of them empty."
            )
        object.__setattr__(self, "words", tuple(words))

    def scanners(self, holdback_chars: int) -> tuple[Scanner, ...]:
        """One detector for all; the longer of two that begin alike comes first."""
        del holdback_chars
        forms = {form for word in self.words for form in (word, word.casefold())}
        options = "|".join(_phrase(form) for form in sorted(forms, key=lambda form: (-len(form), form)))
        longest = max(len(form) + _GAP * len(form.split()) for form in forms) + 1
        return (Detector(self.label, re.compile(rf"(?<!\w)(?:{options})(?!\w)", re.IGNORECASE), longest),)


_GAP = 4
"""Characters of white space that may stand between the words of a phrase."""


def _phrase(form: str) -> str:
    return rf"\s{{1,{_GAP}}}".join(re.escape(word) for word in form.split())


@dataclass(frozen=True, slots=True)
class MaxLength(GuardRule):
    """Blocks texts of more than `max_chars` characters, each text by itself; with `redact`, cuts them off."""

    max_chars: int

    def __post_init__(self) -> None:
        GuardRule.__post_init__(self)
        if self.max_chars < 0:
            raise ConfigError(f"guardrails.{self.label}.max_chars: expected at least 0, found {self.max_chars}.")

    def scanners(self, holdback_chars: int) -> tuple[Scanner, ...]:
        """One."""
        del holdback_chars
        return (Excess(self.max_chars, self.label, at_once=self.enforced and self.does == "block"),)


class WholeRule(Protocol):
    """A rule that judges a text as a whole."""

    timeout_s: float
    kinds: frozenset[str]
    """The kinds of text that it judges; empty for all."""
    pure: bool
    """Whether it does nothing but look: then it runs in dry runs too."""

    async def judge(self, text: str) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class JSONSchema(GuardRule):
    """Blocks answers that are not JSON of this `schema`. Needs the `schema` extra."""

    default_side: ClassVar[Literal["input", "output", "both"]] = "output"
    timeout_s: ClassVar[float] = 5.0
    kinds: ClassVar[frozenset[str]] = frozenset({"content"})
    pure: ClassVar[bool] = True
    schema: Mapping[str, Any]
    _validate: Callable[[object], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        GuardRule.__post_init__(self)
        try:
            from jsonschema import validators
            from jsonschema.exceptions import SchemaError
        except ImportError:
            raise MissingExtraError("The guardrail JSONSchema", "schema") from None
        kind = validators.validator_for(self.schema)
        try:
            kind.check_schema(dict(self.schema))
        except SchemaError as error:
            raise ConfigError(
                f"guardrails.{self.label}.schema: expected a JSON schema, found an error in it: {error.message}."
            ) from None
        object.__setattr__(self, "_validate", kind(self.schema).is_valid)

    async def judge(self, text: str) -> Verdict:
        """False for what is no JSON or does not fit."""
        try:
            value = json.loads(text)
        except ValueError:
            return False
        return self._validate(value)


@dataclass(frozen=True, slots=True)
class Check(GuardRule):
    """Blocks what a function of yours says is bad.

    `function(text)` returns, or is awaited for, None or True for a good text, False for a bad one, or a text to be used
    instead. It gets each text by itself, after the redactions of other rules. A plain function runs on the event loop
    and must be quick; a coroutine has `timeout_s` seconds. `pure`: it does nothing but look, so a dry run may call it.
    """

    kinds: ClassVar[frozenset[str]] = frozenset()
    function: Callable[[str], Verdict | Awaitable[Verdict]]
    timeout_s: float = 5.0
    pure: bool = False

    def __post_init__(self) -> None:
        GuardRule.__post_init__(self)
        if not callable(self.function):
            raise ConfigError(
                f"guardrails.{self.label}.function: expected a function, found {type(self.function).__name__}."
            )
        if not self.timeout_s > 0:
            raise ConfigError(f"guardrails.{self.label}.timeout_s: expected seconds above 0, found {self.timeout_s}.")

    @property
    def label(self) -> str:
        """The name in the record: `name`, or the function's."""
        return self.name or getattr(self.function, "__name__", "check")

    async def judge(self, text: str) -> Verdict:
        """What the function says."""
        said = self.function(text)
        verdict = await said if inspect.isawaitable(said) else said
        if verdict is not None and not isinstance(verdict, (bool, str)):
            raise TypeError(f"a check returns None, a bool or a str; found {type(verdict).__name__}")
        return verdict


def _one_of(rule: GuardRule, setting: str, allowed: Sequence[object]) -> None:
    found = getattr(rule, setting)
    if found not in allowed:
        raise ConfigError(
            f"guardrails.{rule.label}.{setting}: expected {', '.join(str(one) for one in allowed if one)}; found {found!r}."
        )


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
