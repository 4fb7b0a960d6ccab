"""Names that callers use as models."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

import glassway as gw
from glassway.pipeline.errors import ConfigError
from glassway.pipeline.registry import Registry
from glassway.providers.catalogue import ROWS


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry in an environment without keys."""
    for row in ROWS:
        for variable in row.key_variables:
            monkeypatch.delenv(variable, raising=False)
    return Registry()


def test_a_name_stands_for_a_target_and_defaults(names: Registry) -> None:
    entry = names.register("fast", "openai/gpt-4o-mini", temperature=0)
    assert names.get("fast") is entry
    assert names.resolve("fast") == ("openai/gpt-4o-mini", {"temperature": 0})
    assert names.resolve("other") == ("other", {})


def test_names_may_stand_for_names_and_the_nearest_default_wins(names: Registry) -> None:
    names.register("base", "openai/x", temperature=0, seed=1)
    names.register("mine", "base", temperature=1)
    assert names.resolve("mine") == ("openai/x", {"temperature": 1, "seed": 1})


def test_names_are_replaced_listed_and_forgotten(names: Registry) -> None:
    for name, target in (("b", "x"), ("a", "y"), ("b", "z")):
        names.register(name, target)
    assert names.list() == ("a", "b")
    assert names.resolve("b")[0] == "z"
    assert (names.unregister("b"), names.unregister("b"), names.get("b")) == (True, False, None)
    names.clear()
    assert names.list() == ()


@pytest.mark.parametrize("chain", [["a", "a"], ["a", "b", "a"], ["a", "b", "c", "b"]], ids="-".join)
def test_circles_are_refused_and_leave_nothing_behind(names: Registry, chain: list[str]) -> None:
    pairs = list(pairwise(chain))
    for name, target in pairs[:-1]:
        names.register(name, target)
    with pytest.raises(ConfigError, match="goes round in a circle"):
        names.register(*pairs[-1])
    assert len(names.list()) == len(pairs) - 1


@pytest.mark.parametrize(("name", "target"), [("", "x"), ("a", "")])
def test_empty_names_are_refused(names: Registry, name: str, target: str) -> None:
    with pytest.raises(ConfigError, match="expected a name and a target"):
        names.register(name, target)


def test_setup_takes_a_key_or_one_from_the_environment(names: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"expected api_key=\.\.\. or OPENAI_API_KEY in the environment, found neither"
    ):
        names.setup("openai")
    entry = names.setup("openai", api_key="sk-1", name="mine", model="gpt-x")
    assert (entry.name, entry.target, entry.defaults) == ("mine", "openai/gpt-x", {"api_key": "sk-1"})
    assert "sk-1" not in repr(entry)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    assert names.setup("openai").target.startswith("openai/")
    assert names.resolve("openai")[1] == {}


def test_setup_refuses_vendors_that_it_does_not_know_or_that_have_no_usual_model(names: Registry) -> None:
    with pytest.raises(ConfigError, match="nobody"):
        names.setup("nobody")
    with pytest.raises(ConfigError, match=r"expected model=\.\.\."):
        names.setup("openai_compatible")


def test_quick_setup_takes_the_vendors_whose_keys_are_there(names: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names.quick_setup() == ("simulated",)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    assert names.quick_setup() == ("openai",)


def test_many_threads_may_register(names: Registry) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [names.register(f"{n}-{i}", "x") for i in range(50)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names.list()) == 200


def test_the_module_level_names_are_one_registry() -> None:
    gw.register("test-only", "openai/x")
    try:
        assert gw.registry.resolve("test-only") == ("openai/x", {})
    finally:
        assert gw.unregister("test-only")
