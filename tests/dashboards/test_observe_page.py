"""What docs/observe.md says is so: its program runs, its names exist, its YAML is YAML."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from glassway.pipeline.telemetry import names

PAGE = (Path(__file__).parents[2] / "docs" / "observe.md").read_text("utf-8")
PROGRAM = PAGE.partition("<!-- tested -->\n```python\n")[2].partition("```")[0]


def blocks(language: str) -> list[str]:
    """Fenced code, without the indent that it has inside a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", PAGE, re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


def test_every_metric_on_the_page_is_declared() -> None:
    suffixes = ("", "_bucket")
    declared = {metric.prometheus + suffix for metric in names.METRICS.values() for suffix in suffixes}
    assert set(re.findall(r"\bglassway_\w+[a-z]\b", PAGE)) <= declared


def test_every_attribute_on_the_page_is_declared() -> None:
    asked_for = set(re.findall(r"span\.(glassway[\w.]+)", PAGE)) | set(re.findall(r"`(gen_ai\.\w[\w.]+)`", PAGE))
    assert asked_for
    assert asked_for <= set(names.ATTRIBUTES)


def test_its_yaml_is_yaml() -> None:
    assert len(blocks("yaml")) == 3
    for text in blocks("yaml"):
        assert isinstance(yaml.safe_load(text), dict)


def test_the_label_of_exemplars_is_the_one_that_the_data_source_is_told() -> None:
    data_source = next(text for text in blocks("yaml") if "exemplarTraceIdDestinations" in text)
    prometheus = yaml.safe_load(data_source)["datasources"][0]
    assert [each["name"] for each in prometheus["jsonData"]["exemplarTraceIdDestinations"]] == ["trace_id"]


@pytest.mark.slow
def test_the_program_serves_metrics_and_sends_traces(otlp_url: str, traces_taken: list[bytes], tmp_path: Path) -> None:
    program = PROGRAM.replace("http://127.0.0.1:4318", otlp_url).replace("start_http_server(9464)", _SHOW)
    assert otlp_url in program
    assert _SHOW in program
    (tmp_path / "observed.py").write_text(program, "utf-8")
    ran = subprocess.run(
        [sys.executable, "observed.py", "1"], cwd=tmp_path, capture_output=True, check=False, timeout=30
    )
    assert (ran.stderr.decode(), ran.returncode) == ("", 0)
    assert names.CALLS.prometheus in ran.stdout.decode()
    assert traces_taken


_SHOW = """
import atexit
import prometheus_client
atexit.register(lambda: print(prometheus_client.generate_latest().decode()))
start_http_server(0, "127.0.0.1")
"""
