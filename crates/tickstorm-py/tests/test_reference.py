"""The documented examples, as they stand in ``examples``: only durations are divided by 60. With ``FULL_LENGTH=1`` in the
environment they are not."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import os
import re
import textwrap
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from conftest import LOOPS

import tickstorm
from tickstorm import LoadGenerator, LoadProfile

EXAMPLES = Path(__file__).parent / "examples"
DIVISOR = 1 if os.environ.get("FULL_LENGTH") == "1" else 60


async def process_message(msg: dict[str, Any]) -> bool:
    await asyncio.sleep(0.001)
    return True


def source(name: str) -> str:
    text = (EXAMPLES / f"{name}.py").read_text()
    # The two ways in which the examples say how long a run is.
    shorter = lambda match: f"{match[1]}{int(match[2]) // DIVISOR}"  # noqa: E731
    return re.sub(r"(duration_seconds=|run_load_test\()(\d+)", shorter, text)


class Example:
    """Runs examples with the names that they take for granted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loop_name: str) -> None:
        self.made: list[LoadGenerator] = []
        made = self.made

        class Remembered(LoadGenerator):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                made.append(self)

        monkeypatch.setattr(tickstorm, "LoadGenerator", Remembered)

        def run(coroutine: Any) -> Any:
            with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
                return runner.run(coroutine)

        self._runner = run
        monkeypatch.setattr(asyncio, "run", run)
        self.names: dict[str, Any] = {
            "asyncio": asyncio,
            "LoadGenerator": Remembered,
            "LoadProfile": LoadProfile,
            "process_message": process_message,
            "your_message_processor": process_message,
            "processor": process_message,
            "logger": logging.getLogger("example"),
        }

    def run(self, name: str) -> None:
        exec(compile(source(name), name, "exec"), self.names)

    def run_inside_a_coroutine(self, name: str) -> None:
        code: CodeType = compile(source(name), name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def main() -> None:
            result = eval(code, self.names)
            if inspect.isawaitable(result):
                await result

        self._runner(main())


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, loop_name: str) -> Example:
    return Example(monkeypatch, loop_name)


def test_the_basic_load_test(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    example.run("basic_load_test")
    printed = capsys.readouterr().out
    assert printed.startswith(f"Messages sent: {60 // DIVISOR * 1000}\nSuccess rate: 100.00%\nAvg latency: ")
    (generator,) = example.made
    report = generator.get_report()
    assert 1.0 <= report["p50_latency_ms"] < 100


def test_the_stress_test_with_ramp_up(example: Example) -> None:
    example.run("stress_test")
    (generator,) = example.made
    report = generator.get_report()
    # From nothing to 500 times the base rate: 250 times it on average.
    assert report["total_messages"] == 300 // DIVISOR * 25_000
    assert report["messages_processed"] + report["messages_failed"] == report["total_messages"]
    assert generator.metrics.peak_throughput == report["peak_throughput"] > 0


def test_the_volatility_simulation(example: Example) -> None:
    example.run("volatility")
    report = example.made[0].get_report()
    assert report["test_duration"] == 600 // DIVISOR
    assert 0.5 < report["total_messages"] / (600 // DIVISOR * 5000) < 2


def test_the_configurations(example: Example) -> None:
    example.run("basic_configuration")
    assert example.names["generator"].settings()["report-interval"] == "10s"
    example.run("advanced_configuration")
    settings = example.names["generator"].settings()
    assert (settings["max-concurrent"], settings["timeout"]) == ("1000", "5s")


def test_the_gradual_load_increase(example: Example) -> None:
    example.run("advanced_configuration")
    example.run_inside_a_coroutine("gradual_load_increase")
    multiplier, report = example.names["multiplier"], example.names["generator"].get_report()
    assert report["total_messages"] == 60 // DIVISOR * 100 * multiplier
    assert multiplier == 200 or report["error_rate"] > 0.01


def test_the_baseline(example: Example) -> None:
    example.run("advanced_configuration")
    example.run_inside_a_coroutine("baseline")
    assert example.names["baseline"] is example.names["generator"].get_report()
    assert example.names["baseline"]["total_messages"] == 300 // DIVISOR * 100


def test_resources_are_monitored_beside_a_running_test(example: Example) -> None:
    example.run("advanced_configuration")
    example.run("resource_monitoring")
    seen = []

    async def main() -> None:
        generator = example.names["generator"]
        assert not generator.running
        test = asyncio.create_task(generator.run_load_test(60 / DIVISOR, 10))
        await asyncio.sleep(0)
        monitor = asyncio.create_task(example.names["monitor_resources"]())
        while generator.running:
            seen.append(generator.metrics.total_messages)
            await asyncio.sleep(0.1)
        await test
        await monitor

    example._runner(main())
    assert seen == sorted(seen) and 0 < seen[-1] <= 60 // DIVISOR * 1000


def test_the_report_has_the_documented_keys(example: Example) -> None:
    example.run("basic_load_test")
    report = example.made[0].get_report()
    documented = textwrap.dedent("""
        test_duration total_messages messages_processed messages_failed success_rate avg_latency_ms p50_latency_ms
        p90_latency_ms p95_latency_ms p99_latency_ms peak_throughput avg_throughput error_rate memory_usage_mb
    """).split()
    assert [key for key in documented if not isinstance(report[key], (int, float))] == []
