"""What is exported exists, once, under the name that it is listed by."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import glassway

PUBLIC = ["glassway", "glassway.middlewares", "glassway.pipeline", "glassway.pipeline.telemetry", "glassway.pipeline.types", "glassway.providers",
          "glassway.providers.simulated", "glassway.stores", "glassway.testing"]  # fmt: skip


@pytest.mark.parametrize("package", PUBLIC)
def test_every_listed_name_resolves(package: str) -> None:
    module = import_module(package)
    listed = getattr(module, "__all__", [])
    assert [name for name in listed if not hasattr(module, name)] == []
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("package", PUBLIC)
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = import_module(package).no_such_name


def test_the_lazy_table_and_the_imports_for_type_checkers_agree() -> None:
    tree = ast.parse(Path(glassway.__file__ or "").read_text())
    [guard] = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        node.module: tuple(alias.name for alias in node.names)
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
    }
    assert typed == glassway._PLACES


def test_the_public_names_say_where_they_come_from() -> None:
    for name in ("Pipeline", "Client", "Stream", "Retry"):
        holder = glassway if name != "Retry" else import_module("glassway.middlewares")
        assert getattr(holder, name).__module__.startswith("glassway.")
