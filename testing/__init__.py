"""Test doubles for your own stacks: the ones that Glassway itself is tested with."""

from __future__ import annotations

from .clock import FakeClock
from .provider import DEFAULT_USAGE, FakeProvider, Scripted, scripted_tool_call

__all__ = ["DEFAULT_USAGE", "FakeClock", "FakeProvider", "Scripted", "scripted_tool_call"]
