"""tickstorm beside a plain asyncio implementation of the same interface, in one run: ``python bench/compare.py``.

Loop CPU is that of the thread that the loop runs on, all that happens there included. Passes take turns, and the median
of them is shown, since other work on the machine disturbs both alike.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import date
from statistics import median
from typing import Any, NamedTuple

import plain

import tickstorm

PASSES = 5
SECONDS = 1.0


async def noop(msg: Any) -> bool:
    return True


async def sleeping(msg: Any) -> bool:
    await asyncio.sleep(0.001)
    return True


class Pass(NamedTuple):
    cpu_us: float
    """Loop CPU a message."""
    lag_us: float
    """Median of the time from due to started."""
    took_s: float
    processed: int


Target = Callable[[Any], Awaitable[bool]]


def with_tickstorm(target: Target, rate: float, seconds: float) -> Pass:
    async def main() -> Pass:
        generator = tickstorm.LoadGenerator(target, base_rate=rate, progress=False)
        cpu, started = time.thread_time(), time.perf_counter()
        report = await generator.run_load_test(seconds, 1)
        cpu, took = time.thread_time() - cpu, time.perf_counter() - started
        count = report["messages_processed"]
        return Pass(cpu / count * 1e6, report["lag"]["p50_ms"] * 1e3, took, count)

    return asyncio.run(main())


def with_plain_asyncio(target: Target, rate: float, seconds: float) -> Pass:
    async def main() -> Pass:
        generator = plain.LoadGenerator(target, base_rate=rate)
        cpu, started = time.thread_time(), time.perf_counter()
        await generator.run_load_test(seconds)
        cpu, took = time.thread_time() - cpu, time.perf_counter() - started
        return Pass(cpu / generator.processed * 1e6, median(generator.lags) * 1e6, took, generator.processed)

    return asyncio.run(main())


def compared(target: Target, rate: float) -> tuple[list[Pass], list[Pass]]:
    ours, theirs = [], []
    for _ in range(PASSES):
        gc.collect()
        ours.append(with_tickstorm(target, rate, SECONDS))
        gc.collect()
        theirs.append(with_plain_asyncio(target, rate, SECONDS))
    return ours, theirs


def highest_rate(storm: Callable[[Target, float, float], Pass], target: Target) -> float:
    """The highest of the tried rates that is held: a run of a second takes at most 1.1, and half of the messages are at
    most 10 ms late. Each rate has three tries."""
    held = 0.0
    for step in itertools.count():
        rate = round(5_000 * 1.2**step)
        passes = (storm(target, rate, 1.0) for _ in range(3))
        if not any(it.took_s < 1.1 and it.lag_us < 10_000 for it in passes):
            return held
        held = rate
    raise AssertionError("a loop has its limits")


def messages_a_second(make: Callable[[], Any]) -> float:
    rates = []
    for _ in range(PASSES):
        stream = make()
        for _ in itertools.islice(stream, 1000):
            pass
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 0.3:
            for _ in itertools.islice(stream, 2000):
                pass
            count += 2000
        rates.append(count / (time.perf_counter() - started))
    return median(rates)


def row(what: str, ours: float, theirs: float, *, unit: str, more_is_better: bool = False) -> None:
    ratio = ours / theirs if more_is_better else theirs / ours
    shown = [f"{value:,.0f}" if value >= 100 else f"{value:.2f}" for value in (ours, theirs)]
    print(f"| {what} | {shown[0]} {unit} | {shown[1]} {unit} | {ratio:.1f}x |", flush=True)


def main() -> None:
    print(f"\nPython {platform.python_version()}, tickstorm {tickstorm.__version__}, {platform.platform()}, {date.today()}\n")
    print("| | tickstorm | plain asyncio | better by |\n|---|---|---|---|")
    for name, target in (("no-op", noop), ("`await asyncio.sleep(0.001)`", sleeping)):
        for rate in (1_000, 10_000, 20_000):
            ours, theirs = compared(target, rate)
            cpu = [median(it.cpu_us for it in passes) for passes in (ours, theirs)]
            row(f"loop CPU a message, {name}, {rate:,}/s", *cpu, unit="us")
            lag = [median(it.lag_us for it in passes) for passes in (ours, theirs)]
            row(f"median lag, {name}, {rate:,}/s", *lag, unit="us")
        rates = [highest_rate(storm, target) for storm in (with_tickstorm, with_plain_asyncio)]
        row(f"highest rate held, {name}", *rates, unit="msg/s", more_is_better=True)
    theirs = messages_a_second(lambda: iter(plain.WebSocketMessageGenerator()))
    for form in ("str", "bytes", "dict"):
        ours = messages_a_second(lambda: iter(tickstorm.WebSocketMessageGenerator(messages=form)))  # noqa: B023
        row(f'messages without a target, `messages="{form}"`, beside json.dumps', ours, theirs, unit="/s", more_is_better=True)


if __name__ == "__main__":
    sys.exit(main())
