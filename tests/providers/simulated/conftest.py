"""Simulated vendors on a loopback socket, without waits and with a fixed clock, and the official SDKs as clients."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import anthropic
import openai
import pytest

from glassway.providers.simulated import SimulatedServer, SimulatedVendor, Timing

NOW_S = 1_750_000_000


def make_vendor(**settings) -> SimulatedVendor:
    return SimulatedVendor(**{"timing": Timing(scale=0), "now": lambda: NOW_S, **settings})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(stack: ExitStack) -> Callable[..., SimulatedServer]:
    """Starts a server of a vendor with these settings; it stops with the test."""
    return lambda **settings: stack.enter_context(SimulatedServer(make_vendor(**settings)).run_in_thread())


@pytest.fixture
def openai_at(stack: ExitStack) -> Callable[..., openai.OpenAI]:
    """OpenAI's SDK, pointed at a server; it never retries by itself."""

    def client(server: SimulatedServer, api_key: str = "sk-simulated", **settings) -> openai.OpenAI:
        return stack.enter_context(
            openai.OpenAI(base_url=server.openai_base_url, api_key=api_key, max_retries=0, timeout=10, **settings)
        )

    return client


@pytest.fixture
def anthropic_at(stack: ExitStack) -> Callable[..., anthropic.Anthropic]:
    """Anthropic's SDK, pointed at a server; it never retries by itself."""

    def client(server: SimulatedServer, api_key: str = "sk-ant-simulated") -> anthropic.Anthropic:
        return stack.enter_context(
            anthropic.Anthropic(base_url=server.base_url, api_key=api_key, max_retries=0, timeout=10)
        )

    return client


@pytest.fixture
def gpt(serve, openai_at) -> openai.OpenAI:
    return openai_at(serve())


@pytest.fixture
def claude(serve, anthropic_at) -> anthropic.Anthropic:
    return anthropic_at(serve())
