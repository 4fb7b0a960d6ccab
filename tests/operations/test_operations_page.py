"""The page about operations runs as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.mark.slow
def test_the_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    exec(compile(code, PAGE.name, "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    for said in ("Hello there, how are you? 0.51", "True [False, True]", "(1,) 0.73", "The tool returned:"):
        assert said in printed
