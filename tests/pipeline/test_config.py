"""Configuration files: the same as in Python, checked with the path of what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from realservers import RedisServer

from glassway import Client, load_config
from glassway.middlewares import Retry, Timeout
from glassway.pipeline.config import Config
from glassway.pipeline.errors import ConfigError, RateLimitExceeded
from glassway.pipeline.stagenames import make_stage, stage_names
from glassway.stores import DiskStore

BOX = {"type": "openai_compatible", "base_url": "http://127.0.0.1:9/v1"}


def test_a_stages_entry_is_its_constructor_call(tmp_path: Path) -> None:
    path = tmp_path / "glassway.yaml"
    path.write_text(
        "providers: {box: {type: openai_compatible, base_url: 'http://127.0.0.1:9/v1', api_key: '${KEY:-none}'}}\n"
        "models: {fast: {target: box/small, defaults: {temperature: 0}}, other: box/large}\n"
        "pipeline: [timeout: {total_s: 5}, retry]\ntimeout_s: 30\nattempts: 4\n"
    )
    client = load_config(path).client(telemetry=False)
    assert isinstance(client, Client)
    assert client.pipeline.stages == {"Timeout": Timeout(total_s=5), "Retry": Retry()}
    assert list(client.pipeline.providers) == ["box"]
    assert client.registry.resolve("fast") == ("box/small", {"temperature": 0})
    assert client.registry.resolve("other") == ("box/large", {})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the configuration: expected a mapping .*, found list"),
        ({"provider": {}}, "provider: unknown key. Known here: providers, models"),
        ({"providers": []}, "providers: expected a mapping"),
        ({"providers": {"openai": False}}, "providers.openai: expected a mapping .*, found bool"),
        ({"models": {"fast": {"model": "x"}}}, "models.fast.model: unknown key"),
        ({"models": {"fast": {}}}, "models.fast.target: expected 'vendor/model', found NoneType"),
        ({"models": {"fast": {"target": "x", "defaults": 5}}}, "models.fast.defaults: expected a mapping"),
        ({"store": 5}, "store: expected text, found int"),
        ({"pipeline": "retry"}, "pipeline: expected a list of stages, found str"),
        ({"pipeline": 5}, "pipeline: expected a list of stages, found int"),
        ({"pipeline": [5]}, r"pipeline\[0\]: expected a mapping"),
        ({"pipeline": [{"retry": {}, "timeout": {}}]}, r"pipeline\[0\]: expected a stage's name, .* found 2 keys"),
        ({"pipeline": ["retry", {"timeout": False}]}, r"pipeline\[1\].timeout: expected a mapping .*, found bool"),
        ({"timeout_s": "5"}, "timeout_s: expected a number, found str"),
        ({"timeout_s": True}, "timeout_s: expected a number, found bool"),
        ({"attempts": 2.5}, "attempts: expected a whole number, found float"),
        ({"attempts": None}, "attempts: expected a whole number, found NoneType"),
        (
            {"providers": {"x": {"api_key": ["a", "${NOT_SET}"]}}},
            r"providers.x.api_key\[1\]: the variable NOT_SET is not set",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_with_its_path(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.read(data, {})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"pipeline": ["cash"]}, "pipeline.cash: unknown stage 'cash'. Known are"),
        (
            {"pipeline": [{"retry": {"attempt": 3}}]},
            "pipeline.retry: unknown key 'attempt'. Known here: attempts, strategy, initial_s",
        ),
        ({"pipeline": [{"retry": {"attempts": "3"}}]}, "pipeline.retry: attempts: expected int, found str"),
        ({"pipeline": [{"retry": {"attempts": True}}]}, "pipeline.retry: attempts: expected int, found bool"),
        ({"pipeline": [{"hedge": {"on_error": 1}}]}, "pipeline.hedge: on_error: expected bool, found int"),
        ({"pipeline": [{"timeout": {"total_s": "5"}}]}, "pipeline.timeout: total_s: expected float or null, found str"),
        ({"pipeline": [{"retry": {"attempts": 0}}]}, "pipeline.retry: Retry.attempts: expected at least 1"),
        ({"pipeline": ["fallback"]}, "pipeline.fallback: targets: expected a list"),
        ({"store": "floppy:a", "pipeline": ["cache"]}, "store: expected 'memory', 'disk:<directory>' or 'redis://"),
        ({"attempts": 0}, "attempts: expected at least 1"),
        ({"timeout_s": -5}, "timeout_s: expected seconds above 0"),
        ({"providers": {"box": BOX | {"bass_url": "x"}}}, "providers.box: unknown key 'bass_url'"),
        ({"providers": {"nobody": {}}}, "providers.nobody: "),
    ],
    ids=str,
)
def test_what_a_stage_or_provider_does_not_take_is_told_with_its_path(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.read({"providers": {"box": BOX}} | data, {}).pipeline(telemetry=False)


def test_an_entry_without_settings_has_none() -> None:
    config = Config.read(
        {"pipeline": ["retry", {"timeout": None}], "providers": {"simulated": None}, "timeout_s": None}, {}
    )
    assert config.stages == [("retry", {}), ("timeout", {})]
    assert (config.providers, config.timeout_s) == ({"simulated": {}}, None)


@pytest.mark.parametrize(
    ("text", "environ", "filled"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("<${A}-${B:-y}>", {"A": "x"}, "<x-y>"),
        ("${A:-}", {}, ""),
        ("${A:-d}", {"A": ""}, "d"),
        ("$A {A}", {}, "$A {A}"),
    ],
)
def test_variables_are_filled_in(text: str, environ: dict[str, str], filled: str) -> None:
    assert Config.read({"models": {"m": text}}, environ).models == {"m": {"target": filled}}


def test_no_secret_is_shown() -> None:
    config = Config.read(
        {
            "providers": {"box": BOX | {"api_key": "${KEY}"}},
            "models": {"m": {"target": "x", "defaults": {"api_key": "sk-2"}}},
        },
        {"KEY": "sk-1"},
    )
    shown = (
        repr(config)
        + repr(config.registry().get("m"))
        + repr(config.pipeline(telemetry=False).providers)
        + repr(config.client(telemetry=False))
    )
    assert "sk-" not in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [sk-secret", "line 1, column 14: "),
        (b"a: b: sk-secret", "line 1, column "),
        (b"a: sk-secret\x00", "expected YAML in UTF-8"),
        (b"a: sk-secret\xff", "expected YAML in UTF-8"),
        (b"a: !python/object:sk.secret {}", "line 1, column "),
        (b"- sk-secret", "the configuration: expected a mapping"),
    ],
    ids=str,
)
def test_a_file_that_is_no_configuration_is_told_without_its_text(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_there_is_told_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").touch()
    assert load_config(tmp_path / "empty.yaml").stages == []


@pytest.mark.parametrize("name", stage_names())
def test_every_stage_can_be_named_and_checks_its_keys(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown key 'nonsense'"):
        make_stage(name, {"nonsense": 1})


def test_the_names_are_the_classes_in_lower_case() -> None:
    assert {"callbacks", "fallback", "retry", "timeout"} <= set(stage_names())


STATEFUL = [
    "cost",
    {"rate_limit": {"requests_per_minute": 9}},
    {"budget": {"usd": 5}},
    "cache",
    "retry",
    "circuit_breaker",
]


def stores_of(data: dict[str, Any]) -> dict[str, Any]:
    """The store that each stage has been given."""
    stages = dict(Config.read(data).made_stages())
    return {name: stage.store for name, stage in stages.items() if hasattr(stage, "store")}


def test_one_store_is_shared_by_all_stages_that_keep_something(tmp_path: Path) -> None:
    stores = stores_of({"store": f"disk:{tmp_path}/state", "pipeline": STATEFUL})
    assert set(stores) == {"rate_limit", "budget", "cache", "circuit_breaker"}
    assert len({id(store) for store in stores.values()}) == 1
    assert isinstance(stores["cache"], DiskStore)


def test_a_stage_that_says_where_has_its_own(tmp_path: Path) -> None:
    stages = [{"rate_limit": {"requests_per_minute": 9}}, {"cache": {"store": "memory"}}]
    stores = stores_of({"store": f"disk:{tmp_path}/state", "pipeline": stages})
    assert stores["cache"] == "memory"
    assert isinstance(stores["rate_limit"], DiskStore)


def test_without_one_each_stage_has_its_own() -> None:
    assert set(stores_of({"pipeline": STATEFUL}).values()) == {"memory"}
    assert set(stores_of({"store": "memory", "pipeline": STATEFUL}).values()) == {"memory"}


@pytest.mark.parametrize(("preset", "keeping"), [("production", 3), ("standard", 1), ("minimal", 0)])
def test_a_preset_takes_it_too(preset: str, keeping: int, tmp_path: Path) -> None:
    stores = stores_of({"store": f"disk:{tmp_path}/state", "pipeline": preset})
    assert [type(store) for store in stores.values()] == [DiskStore] * keeping


def test_a_password_in_it_is_not_shown() -> None:
    config = Config.read({"store": "redis://u:hunter22@127.0.0.1:1/0", "pipeline": STATEFUL})
    with config.client(telemetry=False) as client:
        assert "hunter22" not in f"{config!r} {client!r} {client.explain()}"


def test_two_processes_share_a_limit_by_it(redis_server: RedisServer) -> None:
    data = {
        "store": f"{redis_server.url}?prefix=config-store:",
        "providers": {"simulated": {}},
        "pipeline": [{"rate_limit": {"requests_per_minute": 3}}, "cache"],
    }
    passed = 0
    with Config.read(data).client(telemetry=False) as one, Config.read(data).client(telemetry=False) as other:
        for client, question in zip([one, other] * 3, range(6), strict=True):
            try:
                client.chat("simulated/gpt-sim", f"Question {question}")
                passed += 1
            except RateLimitExceeded:
                pass
        assert passed == 3
