"""`python -m glassway.providers.simulated`: serve the simulated vendor until interrupted."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading

from .app import SimulatedVendor
from .server import SimulatedServer
from .timing import Timing


def main(arguments: list[str] | None = None) -> None:
    """Serves until Ctrl-C; writes the address to standard output first."""
    parser = argparse.ArgumentParser(prog="python -m glassway.providers.simulated", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other answers")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every wait; 0 answers at once")
    asked = parser.parse_args(arguments)
    vendor = SimulatedVendor(seed=asked.seed, timing=Timing(scale=asked.scale))
    with SimulatedServer(vendor, host=asked.host, port=asked.port).run_in_thread() as server:
        sys.stdout.write(f"simulated vendor at {server.base_url} (OpenAI: {server.openai_base_url})\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
