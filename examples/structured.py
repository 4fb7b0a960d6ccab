"""Structured output: a pydantic model in, a validated instance out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from glassway import Client, Pipeline
from glassway.middlewares import Cost
from glassway.providers import Simulated


class Ticket(BaseModel):
    """What we want to know of a complaint."""

    summary: str
    severity: Literal["low", "medium", "high"]
    city: str
    affected: int = Field(ge=1, le=500)


with Client(Pipeline([Cost()], providers=[Simulated()])) as client:
    ticket = client.parse(Ticket, "simulated/gpt-sim", "The lights went out in Bergen again.", repairs=1)
    print(repr(ticket))
    print(f"severity is one of three words: {ticket.severity}; affected is a number: {ticket.affected + 0}")
