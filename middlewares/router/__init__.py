"""Where a call goes: by a function, by rules, by a group's strategy."""

from __future__ import annotations

from .board import Board
from .group import Group, Member
from .rules import RouteRule
from .stage import Router
from .strategies import Cheapest, Fastest, LeastBusy, PowerOfTwo, Priority, RoundRobin, Strategy, Weighted
from .traits import Traits

__all__ = [
    "Board",
    "Cheapest",
    "Fastest",
    "Group",
    "LeastBusy",
    "Member",
    "PowerOfTwo",
    "Priority",
    "RoundRobin",
    "RouteRule",
    "Router",
    "Strategy",
    "Traits",
    "Weighted",
]
