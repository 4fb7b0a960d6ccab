"""Who may import whom: the house's table, walked in every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = {"errors", "facts", "stream", "call", "chain", "clock", "trace", "outcome", "attempts", "plan", "record"}
BY_NAME = {"client", "registry", "config", "default", "presets", "stagenames"}
"""What reaches all of the house by name."""
NO_IO = {
    "httpx",
    "httpcore",
    "socket",
    "ssl",
    "requests",
    "urllib.request",
    "aiohttp",
    "asyncio",
    "anyio",
    "subprocess",
    "multiprocessing",
    "threading",
    "http",
    "tempfile",
    "shutil",
    "os",
    "pathlib",
    "time",
    "random",
    "logging",
    "boto3",
    "google",
}
LONGEST_CODEC = 400
"""Lines."""


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(("glassway", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The absolute names of all that a file imports, wherever in it."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
            yield from (
                [f"{parent}.{node.module}"] if node.module else [f"{parent}.{alias.name}" for alias in node.names]
            )


def is_of(name: str, *roots: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def found(paths: list[Path], *roots: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}" for path in paths for name in imports(path) if is_of(name, *roots)
    ]


def outside_stdlib(path: Path) -> set[str]:
    return {
        name
        for name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not is_of(name, "glassway", "__future__")
    }


CORE_FILES = [path for path in modules("pipeline") if path.stem in CORE or path.parent.name == "types"]


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: path.stem)
def test_the_core_imports_the_standard_library_pydantic_and_the_opentelemetry_api(path: Path) -> None:
    allowed = (
        "pydantic",
        "opentelemetry.trace",
        "opentelemetry.context",
        "opentelemetry.propagate",
        "typing_extensions",
    )
    assert [name for name in outside_stdlib(path) if not is_of(name, *allowed)] == []


def test_the_pipeline_reaches_stages_and_vendors_by_name_only() -> None:
    paths = [path for path in modules("pipeline") if path.stem not in BY_NAME and path.stem != "pricing"]
    assert (
        found(
            paths,
            "glassway.middlewares",
            "glassway.providers",
            "glassway.stores",
            "glassway.gateway",
            "glassway.testing",
            "httpx",
        )
        == []
    )


def test_prices_are_the_one_thing_that_the_pipeline_takes_from_providers() -> None:
    assert [
        line
        for line in found([ROOT / "pipeline/pricing.py"], "glassway.providers")
        if "glassway.providers.prices" not in line
    ] == []


def test_stages_import_the_pipeline_alone() -> None:
    assert (
        found(
            modules("middlewares"),
            "httpx",
            "httpx2",
            "opentelemetry.sdk",
            "glassway.providers",
            "glassway.gateway",
            "glassway.testing",
        )
        == []
    )


@pytest.mark.parametrize("path", [p for p in modules("middlewares") if p.name != "__init__.py"], ids=name_of)
def test_no_stage_imports_a_sibling(path: Path) -> None:
    own = ".".join(name_of(path).split(".")[:3])
    assert [name for name in imports(path) if is_of(name, "glassway.middlewares") and not is_of(name, own)] == []


def test_providers_import_no_stage() -> None:
    assert found(modules("providers"), "glassway.middlewares", "glassway.gateway", "glassway.stores") == []


def test_codecs_do_no_io() -> None:
    assert found(modules("providers/codecs"), *NO_IO) == []


def test_codecs_open_no_files() -> None:
    calls = [
        (path.name, node.func.id)
        for path in modules("providers/codecs")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "input", "print")
    ]
    assert calls == []


def test_codecs_load_nothing_that_does_io() -> None:
    """Nor does what they import: sockets, clients and SDKs are other modules' business."""
    program = "import importlib, sys\n"
    program += "".join(f"importlib.import_module({name_of(path)!r})\n" for path in modules("providers/codecs"))
    program += (
        "print([name for name in ('httpx', 'httpcore', 'aiohttp', 'botocore', 'http.client') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("path", modules("providers/codecs"), ids=lambda path: path.stem)
def test_no_codec_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_CODEC


def test_stores_know_nothing_of_stages_and_vendors() -> None:
    assert found(modules("stores"), "glassway.middlewares", "glassway.providers", "glassway.gateway", "httpx") == []


def test_no_product_code_imports_the_test_doubles() -> None:
    assert (
        found(modules("pipeline", "middlewares", "providers", "stores"), "glassway.testing", "pytest", "hypothesis")
        == []
    )


def test_attribute_names_of_the_conventions_stand_in_one_file() -> None:
    """Docstrings may say the name; strings that are values may not."""
    product = modules("pipeline", "middlewares", "providers", "stores", "cli", "testing")
    assert [
        str(path.relative_to(ROOT))
        for path in product
        if path != ROOT / "pipeline/telemetry/names.py" and '"gen_ai.' in path.read_text()
    ] == []


def test_every_file_is_lazy_about_annotations() -> None:
    product = [
        path
        for path in modules("pipeline", "middlewares", "providers", "stores", "testing", "cli")
        if path.read_text().strip()
    ]
    assert [
        str(path.relative_to(ROOT)) for path in product if "from __future__ import annotations" not in path.read_text()
    ] == []
