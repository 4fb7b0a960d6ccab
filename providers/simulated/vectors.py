"""Vectors of texts: the same for the same words, near each other where words are shared."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_DIMENSIONS = 256
MOST_DIMENSIONS = 3072

_WORDS = re.compile(r"\w+")


def vector_of(text: str, dimensions: int = DEFAULT_DIMENSIONS) -> list[float]:
    """A vector of length 1. Each word stands for a few directions, the text's for their sum."""
    vector = [0.0] * dimensions
    for word in _WORDS.findall(text.lower()) or [text]:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=32).digest()
        for place in range(0, len(digest), 4):
            number = int.from_bytes(digest[place : place + 4], "big")
            vector[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def likeness(one: str, other: str) -> float:
    """How near two texts are, from 0 to 1."""
    cosine = sum(a * b for a, b in zip(vector_of(one), vector_of(other), strict=True))
    return min(max(cosine, 0.0), 1.0)


def packed(vector: Sequence[float]) -> str:
    """Base64 of little-endian 32-bit floats, as OpenAI sends it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
