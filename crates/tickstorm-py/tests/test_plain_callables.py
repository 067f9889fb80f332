"""Targets that are plain callables."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import warnings
from typing import Any

import pytest
from conftest import Endless, Fatal, Run, ends_by, failed, storm

from tickstorm import LoadGenerator


def test_a_plain_callable_may_block_and_the_loop_goes_on(run: Run) -> None:
    names: set[str] = set()

    def target(msg: dict[str, Any]) -> bool:
        names.add(threading.current_thread().name)
        time.sleep(0.02)
        return bool(msg["sequence"] > 0)

    # One after the other it would take four seconds.
    started = time.monotonic()
    report = storm(run, target)
    assert report["messages_processed"] == 200
    assert time.monotonic() - started < 2
    assert threading.current_thread().name not in names


def test_the_limit_bounds_the_threads(run: Run) -> None:
    under_way = most = 0
    lock = threading.Lock()

    def target(msg: Any) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1

    report = storm(run, target, max_concurrent=4, timeout_seconds=2)
    assert most == 4
    assert report["messages_processed"] == 200


def test_threads_that_cannot_be_made_lose_no_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, 0

    def start_two(thread: threading.Thread) -> None:
        nonlocal started
        if thread.name == "tickstorm-call":
            started += 1
            if started > 2:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    report = storm(run, lambda msg: time.sleep(0.001))
    assert report["messages_processed"] == 200
    assert started > 2


def test_answers_and_exceptions_are_counted_as_those_of_coroutines(run: Run) -> None:
    count = 0

    def target(msg: Any) -> Any:
        nonlocal count
        count += 1
        if count % 2:
            raise LookupError(count)
        return False

    assert failed(storm(run, target, max_concurrent=1)) == {"LookupError": 100, "rejected": 100}


def test_what_it_returns_is_awaited_on_the_loop_if_it_can_be(run: Run) -> None:
    main = threading.current_thread()

    async def work(msg: Any) -> bool:
        await asyncio.sleep(0.001)
        return threading.current_thread() is main and asyncio.current_task() is not None

    assert storm(run, lambda msg: work(msg))["messages_processed"] == 200


def test_what_is_awaited_is_cancelled_after_the_timeout(run: Run) -> None:
    work = Endless()
    report = storm(run, lambda msg: work(msg), timeout_seconds=0.1)
    assert failed(report) == {"timeout": 200} and work.ended == 200


def test_what_waits_for_the_loop_beyond_its_timeout_is_cancelled_too(run: Run) -> None:
    work = Endless()

    async def main() -> None:
        generator = LoadGenerator(lambda msg: work(msg), base_rate=100, timeout_seconds=0.1, progress=False)
        test = asyncio.create_task(generator.run_load_test(60, 1))
        await asyncio.sleep(0.2)
        time.sleep(0.5)
        await asyncio.sleep(0.5)
        # As many as fall due in the timeout, and in the time that all this takes.
        assert work.begun - work.ended < 40
        test.cancel()
        await asyncio.wait([test])
        assert work.begun == work.ended > 50

    run(main())


def test_a_body_that_nobody_runs_is_no_success(run: Run) -> None:
    def numbers() -> Any:
        yield 1

    async def asynchronous_numbers() -> Any:
        yield 1

    async def nothing() -> None:
        pass

    async def unawaited(msg: Any) -> Any:
        coroutine = nothing()
        coroutine.close()
        return coroutine

    for target in (lambda msg: numbers(), lambda msg: asynchronous_numbers(), unawaited):
        report = storm(run, target)
        assert failed(report) == {"TypeError": 200}
        assert "of which nothing was run" in report["errors"][0]["samples"][0]


def test_a_timeout_of_a_thread_can_only_be_recorded(run: Run) -> None:
    def target(msg: Any) -> bool:
        time.sleep(0.3)
        return True

    report = storm(run, target, base_rate=100, timeout_seconds=0.1)
    assert failed(report) == {"timeout": 20}


def test_a_warning_that_is_an_error_does_not_keep_the_report_away(run: Run) -> None:
    release = threading.Event()
    generator = LoadGenerator(lambda msg: release.wait(20), base_rate=50, timeout_seconds=0.1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="10 messages are still with the target"):
            run(generator.run_load_test(0.2, 1))
    release.set()
    assert generator.get_report()["total_messages"] == 10


@pytest.mark.parametrize("plain_calls", ["threads", "loop"])
def test_each_call_has_a_copy_of_the_context(run: Run, plain_calls: str) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(0)

    def target(msg: Any) -> bool:
        is_untouched = variable.get() == 0
        variable.set(1)
        return is_untouched

    assert storm(run, target, plain_calls=plain_calls)["messages_processed"] == 200


def test_it_runs_on_the_loop_if_asked_to(run: Run) -> None:
    main = threading.current_thread()
    report = storm(run, lambda msg: threading.current_thread() is main, plain_calls="loop")
    assert report["messages_processed"] == 200


def test_futures_are_awaited_too(run: Run) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()

        def target(msg: Any) -> asyncio.Future[bool]:
            future: asyncio.Future[bool] = loop.create_future()
            loop.call_soon(future.set_result, True)
            return future

        generator = LoadGenerator(target, base_rate=1000, plain_calls="loop", progress=False)
        return await generator.run_load_test(0.2, 1)

    assert run(main())["messages_processed"] == 200


@pytest.mark.parametrize("plain_calls", ["threads", "loop"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_the_run(run: Run, kind: type[BaseException], plain_calls: str) -> None:
    target = Fatal(kind)
    ends_by(run, kind, target, plain_calls=plain_calls)
    assert target.calls < 1000
