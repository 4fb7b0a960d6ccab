"""A picture and a sound, small, real, and the same for the same words."""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dice import Dice

_SIDE = 16
_RATE = 8_000
_SECONDS_PER_LETTER = 0.02
_MOST_SECONDS = 2.0


def png(dice: Dice) -> bytes:
    """A PNG of 16 by 16 pixels: two colours, rolled. Source: https://www.w3.org/TR/png-3/"""
    colours = [bytes(dice.below(256) for _ in range(3)) for _ in range(2)]
    rows = b"".join(b"\0" + b"".join(colours[(x // 4 + y // 4) % 2] for x in range(_SIDE)) for y in range(_SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in parts)


def wav(text: str, dice: Dice) -> bytes:
    """A WAV of one tone, longer for a longer text, which is written into its comment."""
    pitch = 220 + dice.below(440)
    samples = int(_RATE * min(max(len(text) * _SECONDS_PER_LETTER, 0.1), _MOST_SECONDS))
    tone = b"".join(
        struct.pack("<h", int(8_000 * math.sin(2 * math.pi * pitch * place / _RATE))) for place in range(samples)
    )
    form = struct.pack("<HHIIHH", 1, 1, _RATE, 2 * _RATE, 2, 16)
    comment = text.encode("utf-8", "replace")
    info = b"INFO" + _riff_chunk(b"ICMT", comment + b"\0")
    body = b"WAVE" + _riff_chunk(b"fmt ", form) + _riff_chunk(b"LIST", info) + _riff_chunk(b"data", tone)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def words_in(sound: bytes) -> str | None:
    """The text in the comment of a sound that was made here; None for any other."""
    place = sound.find(b"LIST", 12, 4096)
    if not sound.startswith(b"RIFF") or place < 0 or sound[place + 8 : place + 16] != b"INFOICMT":
        return None
    size = int.from_bytes(sound[place + 16 : place + 20], "little")
    return sound[place + 20 : place + 20 + size].rstrip(b"\0").decode("utf-8", "replace")


def seconds_of(sound: bytes) -> float:
    """How long a sound lasts, if it is one of ours; a guess by its size otherwise."""
    return round(len(sound) / (2 * _RATE), 2)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
