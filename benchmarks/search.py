"""How long an exact search of the semantic cache takes, and for how long it holds up the event loop. Prints a table.

    python benchmarks/search.py [--entries 100000] [--dimensions 384,1536]

All entries in one partition, which is the worst case. The loop's hold-up is the longest gap that a task sees which does nothing
but let others run, while searches are under way.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import numpy as np

from glassway.middlewares.semantic_cache.index import Index, Known, as_vector

SEARCHES = 30


async def gaps(done: asyncio.Event) -> float:
    """The longest time, seconds, until this task ran again."""
    longest, last = 0.0, time.perf_counter()
    while not done.is_set():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def measure(entries: int, dimensions: int) -> tuple[float, float, float]:
    """Median of a search, milliseconds; the longest hold-up of the loop, milliseconds; microseconds to add one."""
    numbers = np.random.default_rng(7)
    index = Index(entries)
    rows = [as_vector(row) for row in numbers.standard_normal((entries, dimensions), dtype=np.float32)]
    start = time.perf_counter()
    for place, row in enumerate(rows):
        index.add(Known(f"{place:016x}", "p", 0, 1), row)
    added_us = (time.perf_counter() - start) / entries * 1e6
    done = asyncio.Event()
    watch = asyncio.create_task(gaps(done))
    times = []
    for place in range(SEARCHES):
        start = time.perf_counter()
        [best, *_] = await index.search("p", rows[place * entries // SEARCHES])
        times.append((time.perf_counter() - start) * 1e3)
        assert best.similarity > 0.999
    done.set()
    return statistics.median(times), await watch * 1e3, added_us


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", default="1000,10000,100000")
    parser.add_argument("--dimensions", default="384,1536")
    args = parser.parse_args()
    print("| entries | dimensions | search, ms | longest hold-up of the loop, ms | add, us |\n|--:|--:|--:|--:|--:|")
    for dimensions in map(int, args.dimensions.split(",")):
        for entries in map(int, args.entries.split(",")):
            search_ms, held_ms, added_us = await measure(entries, dimensions)
            print(f"| {entries:,} | {dimensions} | {search_ms:.2f} | {held_ms:.2f} | {added_us:.1f} |")


if __name__ == "__main__":
    asyncio.run(main())
