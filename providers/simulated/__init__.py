"""The embedded simulated vendor: a small, exact stand-in for OpenAI and Anthropic.

It speaks their real protocols, says the same for the same seed, and fails on request. Use it in process
(`httpx.AsyncClient(transport=SimulatedTransport())`) or over a socket (`SimulatedServer`).
Importing this package imports neither httpx nor a server; they come with the class that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .app import SimulatedVendor
from .exchange import Piece, SimulatedReply, SimulatedRequest
from .faults import Fault, FaultKind, FaultPlan, parse_faults
from .request_log import RequestLog, SeenRequest
from .timing import Timing

if TYPE_CHECKING:
    from .server import SimulatedServer
    from .transport import SimulatedTransport

__all__ = [
    "Fault",
    "FaultKind",
    "FaultPlan",
    "Piece",
    "RequestLog",
    "SeenRequest",
    "SimulatedReply",
    "SimulatedRequest",
    "SimulatedServer",
    "SimulatedTransport",
    "SimulatedVendor",
    "Timing",
    "parse_faults",
]

_LAZY = {"SimulatedServer": ".server", "SimulatedTransport": ".transport"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
