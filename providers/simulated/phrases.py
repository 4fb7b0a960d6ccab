"""What the simulated model knows: a little arithmetic, a few capitals, and how to say nothing pleasantly."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dice import Dice

_CAPITALS = {
    "australia": "Canberra",
    "brazil": "Brasília",
    "canada": "Ottawa",
    "egypt": "Cairo",
    "france": "Paris",
    "germany": "Berlin",
    "india": "New Delhi",
    "italy": "Rome",
    "japan": "Tokyo",
    "kenya": "Nairobi",
    "spain": "Madrid",
}
_SUBJECTS = ("The lighthouse", "A careful reader", "The river", "An old map", "The night train", "A paper boat")
_VERBS = ("keeps", "follows", "remembers", "measures", "crosses", "answers")
_OBJECTS = (
    "the quiet harbor",
    "a longer way home",
    "every small light",
    "the first snow",
    "its own shadow",
    "the tide",
)
_ENDINGS = ("before morning", "without hurry", "as it always has", "when nobody counts", "one step at a time")
_THOUGHTS = (
    "The question is short, so the answer can be short too.",
    "Let me check what is asked and what is only mentioned.",
    "There is one part that matters most; the rest follows from it.",
    "I will state the result first and then the reason.",
    "Nothing in the request contradicts that.",
)
_SUM = re.compile(r"(?<![\d./:-])(-?\d{1,12})\s*([-+*/x×÷])\s*(-?\d{1,12})(?![\d]|\s*[./:*+-]\s*\d)")  # noqa: RUF001 - a times sign
_ECHO = re.compile(r"^\s*(?:say exactly|repeat after me)\s*:?\s*(.+)$", re.IGNORECASE | re.DOTALL)
_CAPITAL = re.compile(r"capital (?:city )?of (\w+)", re.IGNORECASE)


def reply_to(text: str, dice: Dice) -> str:
    """The answer to a user's text: looked up or computed where possible, else two deterministic sentences.

    `say exactly: ...` is answered with the rest of the text, so that a test can choose the answer.
    """
    return _echo(text) or _capital(text) or _sum(text) or f"{sentence(dice)} {sentence(dice)}"


def sentence(dice: Dice) -> str:
    """One harmless sentence."""
    return f"{dice.pick(_SUBJECTS)} {dice.pick(_VERBS)} {dice.pick(_OBJECTS)} {dice.pick(_ENDINGS)}."


def thoughts(count: int, dice: Dice) -> str:
    """`count` sentences of simulated reasoning."""
    return " ".join(dice.pick(_THOUGHTS) for _ in range(count))


def _echo(text: str) -> str | None:
    found = _ECHO.match(text)
    return found[1].strip() if found else None


def _capital(text: str) -> str | None:
    found = _CAPITAL.search(text)
    city = _CAPITALS.get(found[1].lower()) if found else None
    return f"The capital of {found[1].title()} is {city}." if found and city else None


def _sum(text: str) -> str | None:
    found = _SUM.search(text)
    if not found:
        return None
    left, sign, right = Fraction(found[1]), found[2], Fraction(found[3])
    if sign in "/÷" and not right:
        return "Division by zero is not defined."
    result = _computed(left, sign, right)
    shown = str(result) if result.denominator == 1 else f"{float(result):g}"
    return f"{found[1]} {sign} {found[3]} = {shown}"


def _computed(left: Fraction, sign: str, right: Fraction) -> Fraction:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "/" | "÷":
            return left / right
        case _:
            return left * right
