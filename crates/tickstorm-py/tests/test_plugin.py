"""The pytest plugin."""

from __future__ import annotations

import pytest


def test_the_fixture_needs_no_boilerplate_and_a_failure_shows_the_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio

        async def process_message(msg):
            return True

        def test_throughput(load_generator):
            report = load_generator(process_message).run(0.2, 10)
            assert report.passed and report["total_messages"] == 200

        def test_that_fails(load_generator):
            report = load_generator(process_message, thresholds=["max<1ns"]).run(0.2, 10)
            assert report.passed

        def test_without_a_run(load_generator):
            load_generator(process_message)
            assert False
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*- tickstorm report 1 -*", "FAIL *", "*200 sent + 0 dropped*"])
    assert result.stdout.str().count("tickstorm report") == 1


def test_a_failure_shows_the_report_of_an_exchange(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio

        def test_that_fails(mock_exchange):
            async def main():
                async with mock_exchange(clients=0, duration_seconds=0.2, silence_seconds=0) as exchange:
                    return await exchange.finished()

            assert asyncio.run(main()) is None
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- tickstorm report 1 -*"])


def test_the_fixture_is_listed_with_what_it_does(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--fixtures")
    result.stdout.fnmatch_lines(["load_generator*", "*Makes a :class:`tickstorm.LoadGenerator`*"])
    result.stdout.fnmatch_lines(["mock_exchange*", "*Makes a :class:`tickstorm.MockExchange`*"])
