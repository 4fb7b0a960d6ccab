"""Notes what the tests of codecs say of each recorded exchange, and prints the table of vendors and kinds after the run."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from exchange_table import Results, exchanges_of

RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The test of the table comes last: it is about the others."""
    items.sort(key=lambda item: item.path.name == "test_exchange_table.py")
    results = config.stash.setdefault(RESULTS, Results())
    for item in items:
        results.collected.update(exchanges_of(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.config.stash[RESULTS].note(item, report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash.get(RESULTS, Results())
    if len(results.judged) + len(results.failed) < 100:
        return  # a few tests of one's own choice: a table would say nothing
    terminalreporter.section("recorded exchanges: vendor, kind, right/judged")
    for line in results.table():
        terminalreporter.write_line(line)
    total = len(results.judged | results.failed.keys())
    terminalreporter.write_line(f"{'all':<50}{len(results.right)}/{total}")
    for name, tests in sorted(results.failed.items()):
        terminalreporter.write_line(f"wrong: {name} ({tests[0]})")


@pytest.fixture
def exchange_results(request: pytest.FixtureRequest) -> Results:
    """What the tests of this run said so far; skips where not all of them run."""
    results = request.config.stash[RESULTS]
    if len(results.collected) < 700:
        pytest.skip("says something only of a run of all tests of codecs, with the recordings")
    return results
