"""Load tests in pytest. The fixture ``load_generator`` makes generators, ``mock_exchange`` exchanges; a test that fails
shows their reports.

::

    def test_throughput(load_generator):
        report = load_generator(process_message, base_rate=200).run(10, multiplier=5)
        assert report.passed

    async def test_my_client(mock_exchange):  # with a plugin for coroutines; or in asyncio.run()
        async with mock_exchange(multiplier=50, duration_seconds=10) as exchange:
            client = asyncio.create_task(my_client(exchange.ws_url("binance")))
            report = await exchange.finished()
            client.cancel()
        assert report.passed
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from ._errors import RunError
from ._exchange import MockExchange
from ._generator import LoadGenerator, TargetFunction
from ._report import Report

#: What gives the reports of a test's runs.
_REPORTS = pytest.StashKey[list[Callable[[], Report]]]()


class LoadGenerators:
    """Makes generators for one test, and remembers them for its report. Arguments are those of
    :class:`tickstorm.LoadGenerator`, except that no progress is shown."""

    def __init__(self, reports: list[Callable[[], Report]]) -> None:
        self._reports = reports

    def __call__(self, target_system: TargetFunction | str, *arguments: Any, **options: Any) -> LoadGenerator:
        options.setdefault("progress", False)
        generator = LoadGenerator(target_system, *arguments, **options)
        self._reports.append(generator.get_report)
        return generator


class MockExchanges:
    """Makes exchanges for one test, and remembers them for its report. Arguments are those of
    :class:`tickstorm.MockExchange`."""

    def __init__(self, reports: list[Callable[[], Report]]) -> None:
        self._reports = reports

    def __call__(self, **options: Any) -> MockExchange:
        exchange = MockExchange(**options)
        self._reports.append(lambda: exchange.report)
        return exchange


@pytest.fixture
def load_generator(request: pytest.FixtureRequest) -> LoadGenerators:
    """Makes a :class:`tickstorm.LoadGenerator` for a target. If the test fails, the last report of each generator is
    shown with it."""
    return LoadGenerators(_reports_of(request.node))


@pytest.fixture
def mock_exchange(request: pytest.FixtureRequest) -> MockExchanges:
    """Makes a :class:`tickstorm.MockExchange` for clients to connect to. If the test fails, the last report of each
    exchange is shown with it."""
    return MockExchanges(_reports_of(request.node))


def _reports_of(item: pytest.Item) -> list[Callable[[], Report]]:
    return item.stash.setdefault(_REPORTS, [])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for number, last_report in enumerate(_reports_of(item), start=1):
            try:
                result = last_report()
            except RunError:
                continue
            report.sections.append((f"tickstorm report {number}", result.summary()))
    return report
