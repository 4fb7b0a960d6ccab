"""Sync calls on the async chain: one background event loop per process, started when first needed."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_portal: BlockingPortal | None = None
_manager: AbstractContextManager[BlockingPortal] | None = None
_parents: list[object] = []
"""What a forked child inherited, kept: collecting it would wait for the parent's thread, forever."""


def portal() -> BlockingPortal:
    """The process's portal. After a fork the child gets its own."""
    global _portal, _manager
    with _lock:
        if _portal is None:
            from anyio.from_thread import start_blocking_portal

            _manager = start_blocking_portal(name="glassway")
            _portal = _manager.__enter__()
        return _portal


def run_sync(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an async function to its end from sync code. Works inside a running event loop too (that loop waits).

    Ctrl-C cancels the call before `KeyboardInterrupt` goes on.
    """
    if kwargs:
        raise TypeError("run_sync takes positional arguments only")
    future = portal().start_task_soon(function, *args)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def stop_portal() -> None:
    """Stop the background loop; the next sync call starts another. Runs at exit."""
    global _portal, _manager
    with _lock:
        manager, _portal, _manager = _manager, None, None
    if manager is not None:
        manager.__exit__(None, None, None)


def _forget() -> None:
    """In a forked child the loop's thread does not exist: start afresh."""
    global _portal, _manager, _lock
    _lock = threading.Lock()
    _parents.append(_manager)
    _portal = _manager = None


atexit.register(stop_portal)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
