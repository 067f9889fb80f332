"""What the tests share: every loop that the package must work on, runs and targets, what must not be left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tickstorm import LoadGenerator, Report

pytest_plugins = ["pytester"]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=sorted(LOOPS))
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(loop_name: str) -> Run:
    """Runs a coroutine to its end on a new loop, as ``asyncio.run`` does."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            return runner.run(coroutine)

    return run


def storm(run: Run, target: Any, seconds: float = 0.2, multiplier: float = 1, **options: Any) -> Report:
    """200 messages in 200 ms, unless told otherwise."""
    options.setdefault("base_rate", 1000)
    generator = LoadGenerator(target, progress=False, **options)
    report = run(generator.run_load_test(seconds, multiplier))
    due = report["messages_processed"] + report["messages_failed"] + report["ledger"]["aborted"]
    assert report["total_messages"] == due
    assert isinstance(report, Report)
    return report


def failed(report: Report) -> dict[str, int]:
    return {kind: count for kind, count in report["ledger"]["failed"].items() if count}


def ends_by(run: Run, kind: type[BaseException], target: Any, **options: Any) -> None:
    """A run that what its target raises ends, long before its time."""
    generator = LoadGenerator(target, base_rate=1000, progress=False, **options)
    with pytest.raises(kind):
        run(generator.run_load_test(30, 1))
    assert not generator.running


class Endless:
    """A target whose calls end by being cancelled only."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    async def __call__(self, msg: Any) -> None:
        self.begun += 1
        try:
            await asyncio.sleep(3600)
        finally:
            self.ended += 1


class Fatal:
    """A target that raises from its twentieth call on."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind
        self.calls = 0

    def __call__(self, msg: Any) -> bool:
        self.calls += 1
        if self.calls >= 20:
            raise self.kind
        return True


def threads() -> int:
    """Threads of this process, those that Python does not know among them."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/task"))
    return threading.active_count()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    gc.collect()
    before = threads()
    yield
    # A thread that has ended may take a moment to be gone.
    deadline = time.monotonic() + 2
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() <= before, f"threads were left behind: {threading.enumerate()}"
