"""A stage of your own: an async function of the call and the rest of the chain. Unary and streams alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from glassway import Call, Client, Handler, Outcome, Pipeline, Reply, Rule, Slot, when_done
from glassway.middlewares import Cost
from glassway.providers import Simulated

WORDS: Slot[int] = Slot("words", "Words in the answer.")


async def shout(call: Call, call_next: Handler) -> Reply:
    """The smallest stage: change what goes in."""
    messages = tuple(message.but(content=f"{message.text}!") for message in call.request.messages)
    return await call_next(call.with_request(call.request.but(messages=messages)))


@dataclass(frozen=True, slots=True)
class WordLimit:
    """A stage with settings: counts the answer's words when it has ended, whole or streamed, and writes it down as a fact."""

    rule: ClassVar[Rule] = Rule(provides=("words",))

    warn_above: int = 10

    async def __call__(self, call: Call, call_next: Handler) -> Reply:
        """The same reply."""
        return when_done(await call_next(call), lambda outcome: self._count(call, outcome))

    def _count(self, call: Call, outcome: Outcome) -> None:
        words = len(outcome.response.text.split()) if outcome.response else 0
        call.set(WORDS, words)
        if words > self.warn_above:
            print(f"  ({words} words are more than {self.warn_above})")


with Client(Pipeline([Cost(), WordLimit(warn_above=5), shout], providers=[Simulated()])) as client:
    print(client.explain())
    for stream in (False, True):
        reply = client.chat("simulated/gpt-sim", "What is the capital of Spain", stream=stream)
        response = reply.response() if stream else reply
        print(f"{'streamed' if stream else 'unary'}: {response.text} words={response.record.get(WORDS)}")
        print("  stages:", ", ".join(f"{run.name} {run.self_s * 1e6:.0f} us" for run in response.record.stages))
