"""Names for several targets, a router in one call, clients made of clients, and a stack to begin with."""

from __future__ import annotations

import glassway as gw

gw.register("smart", targets=["simulated/gpt-sim", "simulated/gpt-sim-mini"], strategy="cost")
route = gw.chat("smart", "Hello").record.facts["route"]
print(f"smart: {route.target} by {route.strategy}, then {', '.join(route.rest)}")

with gw.create_router(["simulated/gpt-sim", "simulated/claude-sim"], strategy="round_robin") as router:
    print("router:", *(router.chat("router", "Hello").record.facts["route"].target for _ in range(3)))

safe = gw.with_retry(attempts=1).with_fallback(["simulated/gpt-sim-mini"])
reply = safe.chat("simulated/gpt-sim@fail=server_error", "Hello")
first, second = reply.record.attempts
print(f"with_fallback: {second.provider}/{second.model} after {first.error}")

stack = gw.presets.production(fallbacks=["simulated/gpt-sim-mini"], usd_per_day=5)
print(gw.presets.written(stack))

info = gw.provider_info("simulated")
print(f"{len(gw.list_providers())} vendors; {info.name} ready: {info.ready}")
