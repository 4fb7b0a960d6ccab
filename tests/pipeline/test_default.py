"""The module-level functions: one client, made when it is first needed."""

from __future__ import annotations

import asyncio

import glassway as gw

MODEL = "simulated/gpt-4o-mini"


def test_they_are_the_methods_of_one_client() -> None:
    assert gw.default_client() is gw.default_client()
    assert gw.default_client().registry is gw.registry
    assert list(gw.default_client().pipeline.stages) == ["Tracing", "Cost", "Router", "Retry"]


def test_they_work_without_any_key() -> None:
    assert gw.chat(MODEL, "Hi").text
    assert "".join(chunk.text for chunk in gw.chat(MODEL, "Hi", stream=True))
    assert gw.completion(MODEL, [{"role": "user", "content": "Hi"}]).provider == "simulated"


def test_their_async_twins_do_too() -> None:
    async def twins() -> tuple[str, str]:
        stream = await gw.achat(MODEL, "Hi", stream=True)
        return (await gw.acompletion(MODEL, [{"role": "user", "content": "Hi"}])).text, (await stream.response()).text

    assert all(asyncio.run(twins()))


def test_they_know_the_registrys_names_and_explain_themselves() -> None:
    gw.register("test-default", MODEL)
    try:
        assert gw.explain("test-default", [{"role": "user", "content": "Hi"}]).target == MODEL
    finally:
        gw.unregister("test-default")
    assert [stage.name for stage in gw.explain().stages] == ["Tracing", "Cost", "Router", "Retry"]
