"""The record of a call as plain data: exact, and without content."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from builders import make

from glassway import CallOptions
from glassway.pipeline.facts import COST, PAYLOAD, Cost, CostLine, Slot

pytestmark = pytest.mark.anyio


async def noting(call: Any, call_next: Any) -> Any:
    reply = await call_next(call)
    call.set(COST, Cost(Decimal("0.00000012"), "exact", (CostLine("input", Decimal("1E-7")),)))
    call.set(Slot("seen", ""), {"set": {1}, "object": ValueError("x"), 5: (True, None)})
    call.set(PAYLOAD, {"body": "the prompt"})
    return reply


async def test_it_is_json_ready_with_money_as_exact_text() -> None:
    setup = make([noting])
    await setup.send(CallOptions(tenant="acme", tags=("a", "b")), text="a secret prompt")
    shown = json.loads(json.dumps(setup.record.to_dict()))
    assert (shown["tenant"], shown["tags"], shown["end"], shown["requested"]) == (
        "acme",
        ["a", "b"],
        "completed",
        "fake-model",
    )
    assert shown["cost_usd"] == "0.00000012"
    assert Decimal(shown["facts"]["cost"]["lines"][0]["amount_usd"]) == Decimal("1E-7")
    assert shown["facts"]["seen"] == {"set": [1], "object": "x", "5": [True, None]}
    assert shown["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    assert [stage["name"] for stage in shown["stages"]] == ["call", "Ends", "noting", "provider"]


async def test_it_shows_neither_payload_nor_content() -> None:
    setup = make([noting])
    reply = await setup.answer(text="a secret prompt")
    text = json.dumps(setup.record.to_dict())
    assert "payload" not in text
    assert "secret prompt" not in text + repr(setup.record.stages)
    assert reply.text not in text


async def test_its_shortcuts_are_the_responses() -> None:
    setup = make([noting])
    reply = await setup.answer()
    assert (reply.cost, reply.provider, reply.latency_s, reply.trace_id) == (
        Decimal("0.00000012"),
        "fake",
        setup.record.duration_s,
        setup.record.trace_id,
    )


async def test_without_a_bill_the_cost_is_unknown() -> None:
    setup = make()
    assert (await setup.answer()).cost is None


async def test_without_telemetry_there_are_no_times_and_no_stages() -> None:
    setup = make(telemetry=False)
    await setup.send()
    assert (setup.record.stages, setup.record.duration_s, setup.record.trace_id) == ((), 0.0, None)


async def test_an_error_that_is_not_ours_is_told_by_its_type_alone() -> None:
    async def buggy(call: Any, call_next: Any) -> Any:
        raise ValueError("sk-secret")

    setup = make([buggy])
    with pytest.raises(ValueError, match="sk-secret"):
        await setup.send()
    assert (setup.record.error, setup.record.error_message, setup.record.fault) == ("internal", "ValueError", None)
