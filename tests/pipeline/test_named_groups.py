"""Names that stand for several targets, clients made of clients, and stacks that people begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import glassway as gw
from glassway import Client, Pipeline, Registry
from glassway.cli.check import findings_of
from glassway.middlewares import Cache, Cost, Fallback, Retry, Router
from glassway.pipeline.config import Config
from glassway.pipeline.derived import ORDER, with_stage
from glassway.pipeline.errors import ConfigError, RateLimitError
from glassway.pipeline.presets import PRESETS
from glassway.providers import Simulated
from glassway.testing import FakeProvider, Scripted

DOWN = RateLimitError("Slow down.", status_code=429)


def client(*answers: Any, stages: Any = None, **given: Any) -> Client:
    providers = [FakeProvider(list(answers) or [Scripted()], name="a"), FakeProvider(name="b")]
    made = Client(Pipeline([Router()] if stages is None else stages, providers=providers, telemetry=False))
    if given:
        made.registry.register("smart", **given)
    return made


# -- groups by name


@pytest.mark.parametrize("stream", [False, True])
def test_a_name_may_stand_for_several_targets(stream: bool) -> None:
    with client(targets=["a/m", "b/m"], strategy="round_robin", temperature=0) as asked:
        records = []
        for _ in range(4):
            reply: Any = asked.chat("smart", "Hi", stream=stream)
            records.append((reply.response() if stream else reply).record)
        assert [record.facts["route"].target for record in records] == ["a/m", "b/m", "a/m", "b/m"]
        assert asked.pipeline.providers["a"].calls[0].request.temperature == 0  # type: ignore[attr-defined]


def test_or_for_what_a_function_says() -> None:
    def by_tier(traits: Any) -> str | None:
        return "b/m" if traits.tier == "gold" else None

    with client(targets=["a/m"], route=by_tier) as asked:
        targets = [
            asked.chat("smart", "Hi", metadata=metadata).record.facts["route"].target  # type: ignore[union-attr]
            for metadata in ({}, {"tier": "gold"})
        ]
    assert targets == ["a/m", "b/m"]


def test_members_may_be_names_and_weights_hold() -> None:
    registry = Registry()
    registry.register("small", "a/m")
    registry.register("smart", targets=["small", {"target": "b/m", "weight": 3}], strategy="weighted")
    group = registry.group("smart")
    assert group is not None
    assert [(member.target, member.weight) for member in group.members] == [("a/m", 1.0), ("b/m", 3)]
    registry.register("alias", "smart", temperature=1)
    assert registry.resolve("alias") == ("smart", {"temperature": 1})


def test_a_name_of_a_name_of_a_group_is_the_group() -> None:
    with client(targets=["b/m"]) as asked:
        asked.registry.register("alias", "smart")
        assert asked.chat("alias", "Hi").record.facts["route"].target == "b/m"  # type: ignore[union-attr]


def test_without_a_router_it_says_the_next_step() -> None:
    with client(stages=[Cost()], targets=["a/m"]) as asked, pytest.raises(ConfigError, match=r"Put Router\(\) into it"):
        asked.chat("smart", "Hi")


def test_the_module_s_functions_know_groups() -> None:
    gw.register("test-group", targets=["simulated/gpt-sim-mini"])
    try:
        reply = gw.chat("test-group", "Hi")
        assert reply.record is not None
        assert reply.record.facts["route"].route == "test-group"
    finally:
        gw.unregister("test-group")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected a name and a target"),
        ({"target": "a/m", "targets": ["b/m"]}, "expected a name and a target"),
        ({"target": "a/m", "strategy": "cost"}, "strategy chooses among targets"),
        ({"targets": []}, "targets: expected at least one"),
        ({"targets": ["x"]}, r"targets\[0\]: 'x' is a group itself, this one"),
        ({"targets": ["a/m", "g"]}, r"targets\[1\]: 'g' is a group itself"),
        ({"targets": ["a/m", "a/m"]}, "stands there twice"),
        ({"targets": [{"target": "a/m", "weight": 0}], "strategy": "weighted"}, "every weight is 0"),
        ({"targets": ["a/m"], "strategy": "luck"}, "luck"),
    ],
    ids=str,
)
def test_a_group_that_cannot_be_is_refused(given: Any, message: str) -> None:
    registry = Registry()
    registry.register("g", targets=["a/m"])
    with pytest.raises(ConfigError, match=message):
        registry.register("x", **given)


# -- the same in YAML


def config(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "glassway.yaml"
    path.write_text(f"providers: {{simulated: {{}}}}\n{text}")
    return path


def test_yaml_can_say_groups() -> None:
    data = {
        "providers": {"simulated": {}},
        "models": {
            "smart": {"targets": ["quick", {"target": "simulated/gpt-sim", "weight": 2}], "strategy": "weighted"},
            "quick": "simulated/gpt-sim-mini",
        },
        "pipeline": ["router"],
    }
    with Config.read(data, {}).client(telemetry=False) as made:
        reply = made.chat("smart", "Hi")
        assert reply.record is not None
        assert reply.record.facts["route"].strategy == "weighted"
        assert {one.target for one in reply.record.facts["route"].considered} == {
            "simulated/gpt-sim-mini",
            "simulated/gpt-sim",
        }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {x: {targets: [x]}}", "models.x: register('x'): targets[0]: 'x' is a group itself"),
        ("models: {x: y, y: x}", "goes round in a circle"),
        ("models: {x: {target: a, strategy: cost}}", "models.x.strategy: chooses among targets"),
        ("models: {x: {target: a, targets: [b]}}", "models.x: expected target or targets, found both"),
        ("pipeline: luxury", "Known presets: minimal, standard, production"),
        (
            "pipeline: [{router: {rules: [{target: simulated/a, model: 'g*'}, {target: simulated/b, model: gpt}]}}]",
            "never reached",
        ),
    ],
)
def test_check_finds_what_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in problem for problem in findings_of(config(text, tmp_path)).problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {x: {targets: [nobody/m]}}\npipeline: [router]", "models.x.targets[0]: 'nobody' is no provider here"),
        ("models: {x: {targets: [simulated/m]}}", "models.x.targets: no stage chooses among them"),
        ("pipeline: [{router: {default: nobody/m}}]", "pipeline[0].router.default: 'nobody' is no provider"),
        (
            "pipeline: [{router: {rules: [{target: nobody/m, model: x}]}}]",
            "pipeline[0].router.rules[0].target: 'nobody' is no provider",
        ),
        ("pipeline: [{router: {groups: {g: [nobody/m]}}}]", "pipeline[0].router.groups.g.targets[0]: 'nobody'"),
        ("pipeline: [{fallback: {targets: [nobody/m]}}]", "pipeline[0].fallback.targets[0]: 'nobody'"),
        (
            "models: {x: simulated/m}\npipeline: [{fallback: {targets: [simulated/m]}}]",
            "a fallback to itself is skipped",
        ),
        ("store: 'disk:./state'\npipeline: [retry]", "store: no stage here keeps anything"),
    ],
)
def test_check_warns_of_what_is_probably_a_mistake(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in warning for warning in findings_of(config(text, tmp_path)).warnings)


# -- clients of clients


@pytest.mark.parametrize("stream", [False, True])
def test_with_fallback_goes_on_elsewhere_and_leaves_the_client_as_it_was(stream: bool) -> None:
    with client(DOWN, stages=[Cost(), Retry(attempts=1)]) as base:
        safe = base.with_fallback(["b/m"])
        reply: Any = safe.chat("a/m", "Hi", stream=stream)
        assert (reply.response() if stream else reply).text
        assert [stage.name for stage in safe.explain().stages] == ["Cost", "Fallback", "Retry"]
        with pytest.raises(RateLimitError):
            base.chat("a/m", "Hi")
        safe.close()
        with pytest.raises(RateLimitError):  # what they share is still open
            base.chat("a/m", "Hi")


class Resource:
    """A provider that knows whether it is open."""

    name = "a"

    def __init__(self) -> None:
        self.says: list[str] = []

    async def open(self) -> None:
        self.says.append("open")

    async def aclose(self) -> None:
        self.says.append("close")

    async def __call__(self, call: Any) -> Any:
        return Scripted().response()


@pytest.mark.parametrize("updated", ["neither", "base", "derived"])
def test_what_both_have_is_opened_and_closed_once_by_the_first(updated: str) -> None:
    resource = Resource()
    base = Client(Pipeline([Retry(attempts=2)], resource, telemetry=False))
    with base.with_fallback(["a/n"]) as derived:  # the only one that is called
        assert derived.chat("a/m", "Hi").text
        if updated != "neither":
            (base if updated == "base" else derived).update(retry={"attempts": 3})
        assert derived.chat("a/m", "Hi").text
    assert set(resource.says) == {"open"}
    base.close()
    assert resource.says.count("close") == 1
    assert resource.says[-1] == "close"


def test_with_retry_tries_again() -> None:
    with client(DOWN, Scripted(), stages=[Cost()]) as base:
        assert base.with_retry(2, initial_s=0, maximum_s=0).chat("a/m", "Hi").text


def test_what_a_router_has_learned_survives_an_update() -> None:
    with client(targets=["a/m", "b/m"], strategy="latency") as base:
        base.chat("smart", "Hi")
        before = base.pipeline.stages["Router"].board  # type: ignore[attr-defined]
        base.update(router={"default": "smart"})
        assert base.pipeline.stages["Router"].board is before  # type: ignore[attr-defined]


def test_names_are_shared() -> None:
    with client(targets=["b/m"]) as base:
        assert base.with_retry(2).chat("smart", "Hi").text


def test_the_module_has_them_too() -> None:
    assert gw.with_fallback(["simulated/gpt-sim-mini"]).chat("simulated/gpt-sim@fail=server_error", "Hi").text
    assert gw.with_retry(attempts=2).chat("simulated/gpt-sim", "Hi").text


def test_a_stage_stands_where_it_usually_does_and_replaces_one_of_its_kind() -> None:
    stages = Pipeline([Cost(), Cache(), Retry(attempts=2)], FakeProvider()).stages
    assert [type(one).__name__ for one in with_stage(stages, Fallback(["b/m"]))] == [
        "Cost",
        "Cache",
        "Fallback",
        "Retry",
    ]
    assert with_stage(stages, Retry(attempts=5))[2] == Retry(attempts=5)


def test_every_stage_has_its_usual_place() -> None:
    from glassway.pipeline.stagenames import snake, stage_names

    assert set(stage_names()) <= {snake(name) for name in ORDER}


@pytest.mark.parametrize("stream", [False, True])
def test_a_router_is_one_call(stream: bool) -> None:
    providers = [FakeProvider([DOWN], name="a"), FakeProvider(name="b")]
    with gw.create_router(["a/m", "b/m"], strategy="priority", providers=providers) as router:
        reply: Any = router.chat("router", "Hi", stream=stream, retries=0)
        assert (reply.response() if stream else reply).text
    with gw.create_router(route=lambda traits: "b/m", providers=[FakeProvider(name="b")], name="mine") as router:
        assert router.chat("mine", "Hi").text
    with pytest.raises(ConfigError, match="create_router: expected targets"):
        gw.create_router()


# -- presets


SETTINGS: dict[str, dict[str, Any]] = {
    "minimal": {},
    "standard": {"fallbacks": ["simulated/gpt-sim-mini"]},
    "production": {"fallbacks": ["simulated/gpt-sim-mini"], "usd_per_day": 5},
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_list_that_works_as_it_is(name: str, tmp_path: Path) -> None:
    more = {"ledger": str(tmp_path / "ledger.db")} if name == "production" else {}
    stages = getattr(gw.presets, name)(**SETTINGS[name], **more)
    assert isinstance(stages, list)
    stack = Pipeline(stages, Simulated(), telemetry=False)
    assert stack.explain().advice == ()
    assert [ORDER.index(type(stage).__name__) for stage in stages] == sorted(
        ORDER.index(type(stage).__name__) for stage in stages
    )
    with Client(stack) as made:
        assert made.chat("simulated/gpt-sim", "Hi").cost is not None
        assert made.chat("simulated/gpt-sim", "Tell me a story.", stream=True).response().text


def test_it_prints_as_one_would_write_it() -> None:
    written = gw.presets.written(gw.presets.standard(fallbacks=["openai/gpt-4o-mini"]))
    assert "    Fallback(targets=['openai/gpt-4o-mini']),\n" in written
    assert "    Timeout(total_s=120.0),\n" in written
    assert written.startswith("[\n    Tracing(),\n    Callbacks(),\n")


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_may_name_one(name: str) -> None:
    made = Config.read({"pipeline": name, "providers": {"simulated": {}}}, {}).pipeline(telemetry=False)
    assert [type(stage) for stage in made.stages.values()] == [type(stage) for stage in PRESETS[name]()]


# -- vendors, and keys from a file


def test_vendors_are_listed_with_what_is_known_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert {"openai", "anthropic", "gemini", "simulated"} <= set(gw.list_providers())
    assert not gw.provider_available("openai")
    assert gw.provider_available("simulated")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")
    info = gw.provider_info("openai")
    assert (info.ready, info.key_variables) == (True, ("OPENAI_API_KEY",))
    assert "hunter2" not in repr(info)
    mini = next(model for model in info.models if model.name == "gpt-4o-mini")
    assert (mini.context_tokens, float(mini.input_usd or 0), float(mini.output_usd or 0)) == (128_000, 0.15, 0.6)
    assert "openai" in gw.list_providers(ready=True)
    with pytest.raises(ConfigError, match="nobody"):
        gw.provider_info("nobody")


ENV = """# keys
export GROQ_API_KEY="gsk 1 # no comment"
MISTRAL_API_KEY = 'two'   # a comment
XAI_API_KEY=three # a comment

OPENAI_API_KEY=
"""


def test_keys_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in ("GROQ_API_KEY", "MISTRAL_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XAI_API_KEY", "stays")
    (tmp_path / ".env").write_text(ENV)
    registry = Registry()
    assert {"groq", "mistral", "xai"} <= set(registry.quick_setup(env_file=tmp_path / ".env"))
    found = [os.environ.pop(name) for name in ("GROQ_API_KEY", "MISTRAL_API_KEY", "OPENAI_API_KEY")]
    assert [*found, os.environ["XAI_API_KEY"]] == ["gsk 1 # no comment", "two", "", "stays"]


@pytest.mark.parametrize("text", ["sk-hunter2", "1X=sk-hunter2", 'A="sk-hunter2'])
def test_a_line_that_is_none_is_told_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(f"A=1\n{text}\n")
    with pytest.raises(ConfigError, match="line 2: expected NAME=value") as caught:
        Registry().quick_setup(env_file=tmp_path / ".env")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match="expected a file"):
        Registry().quick_setup(env_file=tmp_path / "none")
