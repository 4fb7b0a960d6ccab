"""The vendors' prompt caches: which part of a prompt was seen before.

Entries do not expire by time, only by number: the longest unused prefix is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from .dice import digest_of
from .lru import LRU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .prompt import Segment

_MOST_PREFIXES = 8192
_OPENAI_STEP = 128


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Input tokens read from the cache and written to it, and for how long they were written."""

    read: int = 0
    written: int = 0
    ttl: str = "5m"


@dataclass(frozen=True, slots=True)
class _Prefix:
    key: str
    tokens: int
    marked: bool


@dataclass(slots=True)
class PromptCache:
    """Remembers prefixes of prompts, per model, of at least `minimum_tokens`."""

    minimum_tokens: int = 1024
    _seen: LRU[str, bool] = field(default_factory=lambda: LRU(_MOST_PREFIXES))

    def implicit(self, model: str, segments: Sequence[Segment]) -> CacheUse:
        """OpenAI: the longest known prefix is read, in steps of 128 tokens; the whole prompt is remembered.

        Source: https://platform.openai.com/docs/guides/prompt-caching#how-it-works
        """
        prefixes = self._prefixes(model, segments)
        known = self._known(prefixes)
        self._remember(prefixes)
        return CacheUse(read=known - known % _OPENAI_STEP)

    def explicit(self, model: str, segments: Sequence[Segment]) -> CacheUse:
        """Anthropic: prefixes that end at a mark are written; the longest one written before is read.

        Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance
        """
        last = max((index for index, segment in enumerate(segments) if segment.cache_ttl), default=-1)
        prefixes = self._prefixes(model, segments[: last + 1])
        if not prefixes:
            return CacheUse()
        known = self._known(prefixes)
        self._remember([prefix for prefix in prefixes if prefix.marked])
        return CacheUse(known, prefixes[-1].tokens - known, segments[last].cache_ttl or "5m")

    def _known(self, prefixes: Sequence[_Prefix]) -> int:
        return max((prefix.tokens for prefix in prefixes if prefix.key in self._seen), default=0)

    def _remember(self, prefixes: Sequence[_Prefix]) -> None:
        for prefix in prefixes:
            self._seen.setdefault(prefix.key, True)

    def _prefixes(self, model: str, segments: Sequence[Segment]) -> list[_Prefix]:
        keys = list(accumulate((segment.text for segment in segments), digest_of, initial=model))[1:]
        totals = accumulate(segment.tokens for segment in segments)
        found = (
            _Prefix(key, total, segment.cache_ttl is not None)
            for key, total, segment in zip(keys, totals, segments, strict=True)
        )
        return [prefix for prefix in found if prefix.tokens >= self.minimum_tokens]
