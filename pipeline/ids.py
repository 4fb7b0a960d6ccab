"""Random ids. From a generator seeded by the system, because asking the system each time costs up to 17 us."""

from __future__ import annotations

import os
import random

_random = random.Random()  # noqa: S311 - ids tell things apart, they guard nothing
os.register_at_fork(after_in_child=_random.seed)


def random_id(bits: int) -> int:
    """A random number of `bits` bits, never 0. A forked child draws others than its parent."""
    return _random.getrandbits(bits) or 1
