"""Another target and a guardrail, tried beside real calls: what they would have done is known, and the calls are as without them."""

from __future__ import annotations

from glassway import Client, Pipeline
from glassway.middlewares import Cost, Guardrails, Shadow, ShadowReport
from glassway.pipeline.facts import GUARDRAILS
from glassway.providers import Simulated
from glassway.providers.simulated import SimulatedVendor

told: list[ShadowReport] = []
other = Shadow("beside/claude-sim", share=1.0, on_result=[told.append], most_usd=5)
strict = Shadow(
    stage=Guardrails([{"secrets": {"action": "block"}}]), name="guardrails", share=1.0, on_result=[told.append]
)
stack = Pipeline([Cost(), other, strict], providers=[Simulated(), Simulated(name="beside", vendor=SimulatedVendor())])

with Client(stack) as client:
    reply = client.chat("simulated/gpt-sim", "What is the capital of Italy?")
    print(f"the caller got: {reply.text}")
    print(f"on the call's bill: {len(reply.record.attempts)} request, ${reply.cost.normalize():f}")
    key = "sk-proj-" + "abcdefghijklmnopqrstuvwxyz0123456789"
    client.chat("simulated/gpt-sim", f"What is {key}?")

for report in told:
    result = report.result
    if result.verdict == "would_refuse":
        rules = [f"{said.rule} {said.verdict}" for said in report.record.get(GUARDRAILS)]
        print(f"{result.shadow} would_refuse: {', '.join(rules)}")
    elif result.shadow == "guardrails":
        print(f"{result.shadow}: {result.verdict}")
    else:
        print(
            f"{result.shadow}: {result.verdict} in {result.reply_s:.2f} s against {result.call_reply_s:.2f} s, ${result.cost_usd}"
        )
