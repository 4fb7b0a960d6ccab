"""Deterministic choices: the same parts always roll the same, on every machine and Python version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(slots=True)
class Dice:
    """A stream of choices that depends on `key` alone.

    Not `random.Random`, whose sequences may change between Python versions; not meant for secrets.
    """

    key: str
    _rolls: int = field(default=0, init=False)

    def child(self, *names: object) -> Dice:
        """Independent dice for a named purpose: rolling them never disturbs these."""
        return Dice("/".join([self.key, *(str(name) for name in names)]))

    def below(self, bound: int) -> int:
        """An integer from 0 to `bound - 1`."""
        self._rolls += 1
        digest = hashlib.blake2b(f"{self.key}#{self._rolls}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return int.from_bytes(digest, "big") % bound

    def fraction(self) -> float:
        """A number from 0 up to, but not including, 1."""
        return self.below(1 << 30) / (1 << 30)

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, which must not be empty."""
        return options[self.below(len(options))]

    def token(self, length: int) -> str:
        """An identifier of `length` letters and digits."""
        return "".join(self.pick(_ALPHABET) for _ in range(length))


def digest_of(*parts: str) -> str:
    """A short fingerprint of `parts`; different splits of the same text differ."""
    fingerprint = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        fingerprint.update(len(data).to_bytes(8, "big") + data)
    return fingerprint.hexdigest()
