"""Signatures of thinking blocks: the vendor refuses thinking that it did not write itself.

Source: https://docs.claude.com/en/docs/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import base64
import hashlib
import hmac


def sign(thinking: str, key: str) -> str:
    """The signature of `thinking`."""
    digest = hmac.new(key.encode(), thinking.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(b"simulated:" + digest).decode()


def is_signed(thinking: str, signature: str, key: str) -> bool:
    """Whether `signature` was made for exactly this thinking, by a vendor with this key."""
    return hmac.compare_digest(sign(thinking, key), signature)
