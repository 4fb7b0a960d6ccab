"""The wheel holds the package, the whole package, and nothing but the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NOT_SHIPPED = {"tests", "benchmarks", "examples", "docs", "dashboards", "build", "glassway.egg-info"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from, so that nothing is left behind in the checkout."""
    copy = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", *NOT_SHIPPED))
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, packages: set[str], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the wheel."""
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(checkout),
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
        "-w",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    [path] = out.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


@pytest.fixture(scope="module")
def packages(checkout: Path) -> set[str]:
    """Every folder of the copy that is a package: all of them belong to the product."""
    return {path.parent.relative_to(checkout).as_posix() for path in checkout.rglob("__init__.py")}


def test_it_has_one_top_level_name(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"glassway"}
    assert len(tops) == 2


def test_it_has_every_sub_package(wheel: set[str], packages: set[str]) -> None:
    assert "pipeline/types" in packages
    assert {folder for folder in packages - {"."} if f"glassway/{folder}/__init__.py" not in wheel} == set()


def test_it_has_every_module_of_every_package(wheel: set[str], packages: set[str], checkout: Path) -> None:
    modules = {
        path.relative_to(checkout).as_posix() for folder in packages for path in (checkout / folder).glob("*.py")
    }
    assert {module for module in modules if f"glassway/{module}" not in wheel} == set()


def test_it_is_typed_and_brings_no_tests(wheel: set[str]) -> None:
    assert "glassway/py.typed" in wheel
    assert [name for name in wheel if "/test" in name and "/testing/" not in name] == []
