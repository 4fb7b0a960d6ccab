"""Answers that are kept and given again: what a call says about it, keys, entries as bytes, replies made of them."""

from __future__ import annotations

from .answer import incomplete, reply_of
from .controls import NO_CONTROLS, Controls, check_ttl, controls_of
from .entry import Answer, Entry, decode, encode
from .key import answer_key
from .taking import take_chunks, trace_id_of

__all__ = [
    "NO_CONTROLS",
    "Answer",
    "Controls",
    "Entry",
    "answer_key",
    "check_ttl",
    "controls_of",
    "decode",
    "encode",
    "incomplete",
    "reply_of",
    "take_chunks",
    "trace_id_of",
]
