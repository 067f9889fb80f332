"""Load tests in pytest. The fixture ``load_generator`` makes generators; a test that fails shows their reports.

::

    def test_throughput(load_generator):
        report = load_generator(process_message, base_rate=200).run(10, multiplier=5)
        assert report.passed
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from ._errors import RunError
from ._generator import LoadGenerator, TargetFunction

_GENERATORS = pytest.StashKey[list[LoadGenerator]]()


class LoadGenerators:
    """Makes generators for one test, and remembers them for its report. Arguments are those of
    :class:`tickstorm.LoadGenerator`, except that no progress is shown."""

    def __init__(self, made: list[LoadGenerator]) -> None:
        self._made = made

    def __call__(self, target_system: TargetFunction | str, *arguments: Any, **options: Any) -> LoadGenerator:
        options.setdefault("progress", False)
        generator = LoadGenerator(target_system, *arguments, **options)
        self._made.append(generator)
        return generator


@pytest.fixture
def load_generator(request: pytest.FixtureRequest) -> LoadGenerators:
    """Makes a :class:`tickstorm.LoadGenerator` for a target. If the test fails, the last report of each generator is
    shown with it."""
    made: list[LoadGenerator] = []
    request.node.stash[_GENERATORS] = made
    return LoadGenerators(made)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        made = item.stash[_GENERATORS] if _GENERATORS in item.stash else []
        for number, generator in enumerate(made, start=1):
            try:
                result = generator.get_report()
            except RunError:
                continue
            report.sections.append((f"tickstorm report {number}", result.summary()))
    return report
