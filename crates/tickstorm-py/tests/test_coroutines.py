"""Targets that are coroutine functions."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import socket
import sys
import threading
import time
import warnings
import weakref
from typing import Any

import pytest
from conftest import LOOPS, Endless, Fatal, Run, ends_by, failed, storm

from tickstorm import AlreadyRunning, LoadGenerator, LoadProfile, Report


def test_a_message_is_a_dict_with_decimals_as_texts(run: Run) -> None:
    messages: list[dict[str, Any]] = []

    async def target(msg: dict[str, Any]) -> bool:
        messages.append(msg)
        return True

    storm(run, target)
    assert len(messages) == 200
    kinds = {msg["type"] for msg in messages}
    assert {"book", "trade"} <= kinds <= {
        "book", "trade", "quote", "ticker", "execution", "balance", "transfer", "status",
    }  # fmt: skip
    for msg in messages:
        assert isinstance(msg["symbol"], str) and msg["symbol"].endswith("USDT")
        assert all(isinstance(msg[key], int) for key in ("sequence", "event", "due_ns"))
        if msg["type"] == "book":
            assert float(msg["price"]) > 0 and msg["side"] in ("buy", "sell")
    assert [msg["due_ns"] for msg in messages] == sorted(msg["due_ns"] for msg in messages)


def test_the_same_seed_gives_the_same_messages(run: Run) -> None:
    def messages(seed: int) -> list[Any]:
        seen: list[Any] = []

        async def target(msg: Any) -> None:
            seen.append(msg)

        storm(run, target, seed=seed)
        return seen

    assert messages(7) == messages(7) != messages(8)


@pytest.mark.parametrize(("form", "kind"), [("bytes", bytes), ("str", str)])
def test_a_venue_s_words_may_be_had(run: Run, form: str, kind: type) -> None:
    seen: list[Any] = []

    async def target(msg: Any) -> None:
        seen.append(msg)

    storm(run, target, messages=form, venue="okx")
    assert all(type(msg) is kind for msg in seen)
    assert ('{"arg":' if kind is str else b'{"arg":') in seen[0]


def test_batches_are_lists_and_each_message_counts(run: Run) -> None:
    sizes: list[int] = []

    async def target(batch: list[dict[str, Any]]) -> bool:
        assert isinstance(batch, list)
        sizes.append(len(batch))
        return True

    # Those that fall due between two wake-ups of the loop come together: five or more.
    report = storm(run, target, batch=3, base_rate=20_000)
    assert sum(sizes) == report["messages_processed"] == 4000
    assert max(sizes) == 3


def test_nothing_is_as_good_as_true_and_other_falsehoods_are_rejections(run: Run) -> None:
    answers = [True, None, 1, "yes", object(), False, 0, "", [], {}]
    count = 0

    async def target(msg: Any) -> Any:
        nonlocal count
        count += 1
        return answers[count % len(answers)]

    report = storm(run, target)
    assert report["messages_processed"] == 100
    assert failed(report) == {"rejected": 100}


def test_exceptions_are_counted_by_the_name_of_their_type(run: Run) -> None:
    count = 0

    class OrderRefused(Exception):
        pass

    async def target(msg: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        if count % 2:
            await asyncio.sleep(0)
        if count % 4 == 0:
            raise OrderRefused("too large")
        if count % 4 == 1:
            msg["no such key"]

    report = storm(run, target)
    assert failed(report).keys() == {"OrderRefused", "KeyError"}
    samples = {error["kind"]: error["samples"] for error in report["errors"]}
    assert samples["OrderRefused"][0] == "too large"
    assert samples["KeyError"][0] == "'no such key'"
    assert report.verdict == "FAIL" and not report.passed


@pytest.mark.parametrize("kind", [GeneratorExit, pytest.fail.Exception])
def test_what_is_no_exception_but_ends_nothing_is_counted_as_one(
    run: Run, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def target(msg: dict[str, Any]) -> None:
        if msg["sequence"] % 2:
            await asyncio.sleep(0)
        raise kind("no")

    assert failed(storm(run, target)) == {kind.__name__: 200}
    # Of what a task ends by and nobody asks for, asyncio complains.
    gc.collect()
    assert caplog.records == []


def test_an_answer_without_truth_is_the_error_that_it_raises(run: Run) -> None:
    class Unclear:
        def __bool__(self) -> bool:
            raise ArithmeticError("neither")

    async def target(msg: Any) -> Unclear:
        return Unclear()

    assert failed(storm(run, target)) == {"ArithmeticError": 200}


def test_a_wrong_signature_is_counted_and_does_not_end_the_run(run: Run) -> None:
    async def target() -> bool:
        return True

    assert failed(storm(run, target)) == {"TypeError": 200}


def test_timeouts_and_task_groups_work_in_the_target(run: Run) -> None:
    async def child(results: list[int]) -> None:
        await asyncio.sleep(0)
        results.append(1)

    async def target(msg: Any) -> bool:
        results: list[int] = []
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            group.create_task(child(results))
            group.create_task(child(results))
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        except TimeoutError:
            return len(results) == 2
        return False

    report = storm(run, target)
    assert report["messages_processed"] == 200, report["errors"]


def test_a_timeout_works_before_the_first_wait(run: Run) -> None:
    async def target(msg: Any) -> bool:
        async with asyncio.timeout(1):
            return asyncio.current_task() is not None

    assert storm(run, target)["messages_processed"] == 200


# At the limit a call that ends makes room for the next one, which must see nothing of it.
@pytest.mark.parametrize("max_concurrent", [1, 1000])
def test_every_message_has_a_task_and_a_context_of_its_own(run: Run, max_concurrent: int) -> None:
    request: contextvars.ContextVar[int] = contextvars.ContextVar("request")
    outer: contextvars.ContextVar[str] = contextvars.ContextVar("outer")
    outer.set("before the run")
    tasks: set[int] = set()
    alive: list[Any] = []

    async def target(msg: dict[str, Any]) -> bool:
        is_fresh = request.get(None) is None
        request.set(msg["sequence"])
        if msg["sequence"] % 2:
            await asyncio.sleep(0.001)
        task = asyncio.current_task()
        tasks.add(id(task))
        alive.append(task)
        return is_fresh and bool(request.get() == msg["sequence"]) and outer.get() == "before the run"

    report = storm(run, target, max_concurrent=max_concurrent)
    assert report["messages_processed"] == 200
    assert len(tasks) == 200
    assert request.get(None) is None


def test_async_generators_and_locks_and_queues_work(run: Run) -> None:
    async def main() -> Report:
        lock, queue = asyncio.Lock(), asyncio.Queue[Any](maxsize=1)

        async def consume() -> None:
            while True:
                await queue.get()
                queue.task_done()

        consumer = asyncio.create_task(consume())

        async def numbers() -> Any:
            for number in range(3):
                await asyncio.sleep(0)
                yield number

        async def target(msg: Any) -> bool:
            async with lock:
                await queue.put(msg)
            return [number async for number in numbers()] == [0, 1, 2]

        report = await LoadGenerator(target, base_rate=1000, progress=False).run_load_test(0.2, 1)
        consumer.cancel()
        return report

    assert run(main())["messages_processed"] == 200


def test_a_blocked_loop_shows_in_the_latency_and_not_in_the_service_time(run: Run) -> None:
    count = 0

    async def target(msg: Any) -> bool:
        nonlocal count
        count += 1
        if count == 50:
            time.sleep(0.25)
        return True

    report = storm(run, target, seconds=0.5)
    latency, service = report["latency"], report["service_time"]
    assert 240 < latency["max_ms"] < 600
    # Half of the messages fell due while the loop was blocked. Few calls were under way in it.
    assert latency["p90_ms"] > 100 > 20 > service["p50_ms"]
    # The loop is the target's, and so is its fault.
    assert report["net_latency"]["p90_ms"] > 100


def test_calls_that_keep_the_loop_from_one_another_have_their_own_service_times_and_timeouts(run: Run) -> None:
    async def target(msg: Any) -> bool:
        time.sleep(0.005)
        return True

    # Half as much again as can be done: what is due waits, for much longer than the timeout in the end.
    report = storm(run, target, base_rate=300, seconds=1, timeout_seconds=0.3)
    assert failed(report) == {}
    assert report["service_time"]["p50_ms"] < 10 < 100 < report["stall"]["max_ms"]


def test_what_takes_longer_than_the_timeout_is_cancelled_and_has_failed(run: Run) -> None:
    target = Endless()
    started = time.monotonic()
    report = storm(run, target, timeout_seconds=0.1)
    assert failed(report) == {"timeout": 200} and target.ended == 200
    assert report["ledger"]["late_replies"] == 0
    assert time.monotonic() - started < 3
    # Its age when it was given up is in the latency: failing cannot hide the tail.
    assert report["latency"]["p50_ms"] >= 100


def test_a_target_that_swallows_its_cancellation_has_timed_out_all_the_same(run: Run) -> None:
    async def target(msg: Any) -> bool:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
        return True

    report = storm(run, target, timeout_seconds=0.1)
    assert failed(report) == {"timeout": 200}
    assert report["ledger"]["late_replies"] > 0


def test_the_slot_of_a_timed_out_call_is_taken_until_it_ends(run: Run) -> None:
    under_way = most = 0

    async def target(msg: Any) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
        finally:
            under_way -= 1
        return True

    report = storm(run, target, timeout_seconds=0.05, max_concurrent=4)
    assert most == 4
    assert failed(report)["timeout"] >= 4
    assert report["ledger"]["dropped"]["unsent"] > 0


def test_a_target_that_never_returns_does_not_keep_the_run(run: Run) -> None:
    stop = False

    async def target(msg: Any) -> bool:
        while not stop:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                pass
        return True

    async def main() -> Report:
        nonlocal stop
        generator = LoadGenerator(
            target, base_rate=100, max_concurrent=5, timeout_seconds=0.1, progress=False
        )
        with pytest.warns(RuntimeWarning, match="5 messages are still with the target"):
            report = await generator.run_load_test(0.2, 1)
        # Let the loop close.
        stop = True
        return report

    report = run(main())
    assert failed(report) == {"timeout": 5}


def test_a_cancellation_that_is_not_ours_is_counted_and_handed_on(run: Run) -> None:
    async def target(msg: Any) -> bool:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return True

    assert failed(storm(run, target)) == {"CancelledError": 200}


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_the_run(run: Run, kind: type[BaseException], waits: bool) -> None:
    fatal = Fatal(kind)

    async def target(msg: Any) -> bool:
        if waits:
            await asyncio.sleep(0.001)
        return fatal(msg)

    ends_by(run, kind, target)
    assert fatal.calls < 1000


def test_the_limit_is_held_and_what_waits_keeps_its_due_time(run: Run) -> None:
    under_way = most = 0

    async def target(msg: Any) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return True

    # 20 at once that take 10 ms each are 2000 a second at most; twice that is asked for.
    report = storm(run, target, base_rate=4000, max_concurrent=20, seconds=0.3)
    assert most == 20
    assert report["messages_processed"] == 1200
    assert report["service_time"]["p50_ms"] < 60 < report["latency"]["max_ms"]
    assert report["stall"]["max_ms"] > 100


def test_at_the_limit_messages_are_dropped_if_that_is_the_rule(run: Run) -> None:
    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.02)
        return True

    report = storm(run, target, max_concurrent=1, at_limit="drop")
    assert report["ledger"]["dropped"]["concurrency_limit"] > 100


def test_an_idle_loop_starts_what_the_limit_allows_at_once(run: Run) -> None:
    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.002)
        return True

    # One at a time: a slot that is free must not wait for the engine to look.
    report = storm(run, target, max_concurrent=1, base_rate=10_000, seconds=0.1, timeout_seconds=0.4)
    assert report["messages_processed"] > 100


def test_two_runs_at_once_are_refused(run: Run) -> None:
    async def target(msg: Any) -> bool:
        return True

    async def main() -> None:
        generator = LoadGenerator(target, progress=False)
        first = asyncio.create_task(generator.run_load_test(0.3, 1))
        await asyncio.sleep(0.1)
        with pytest.raises(AlreadyRunning, match="running a load test already"):
            await generator.run_load_test(0.1, 1)
        assert (await first)["total_messages"] == 30
        assert (await generator.run_load_test(0.1, 1))["total_messages"] == 10

    run(main())


def test_a_second_run_from_another_thread_is_refused_while_the_first_one_begins() -> None:
    refused: list[BaseException] = []

    async def target(msg: Any) -> bool:
        return True

    generator = LoadGenerator(target, progress=False)

    def second() -> None:
        try:
            generator.run(0.1, 1)
        except AlreadyRunning as error:
            refused.append(error)

    class Loop(asyncio.SelectorEventLoop):
        def get_task_factory(self) -> Any:
            # A run asks it before it has begun.
            if generator.running and not refused:
                thread = threading.Thread(target=second)
                thread.start()
                thread.join()
            return super().get_task_factory()

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(generator.run_load_test(0.1, 1))["total_messages"] == 10
    assert len(refused) == 1
    assert not generator.running


def test_two_generators_share_a_loop(run: Run) -> None:
    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.001)
        return True

    async def main() -> list[Report]:
        generators = [LoadGenerator(target, progress=False) for _ in range(3)]
        return await asyncio.gather(*(generator.run_load_test(0.3, 10) for generator in generators))

    assert [report["messages_processed"] for report in run(main())] == [300, 300, 300]


def test_a_run_may_be_stopped_and_reports_what_was_measured(run: Run) -> None:
    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.01)
        return True

    async def main() -> Report:
        generator = LoadGenerator(target, base_rate=1000, progress=False)
        asyncio.get_running_loop().call_later(0.2, generator.stop)
        return await generator.run_load_test(60, 1)

    report = run(main())
    assert report["messages_processed"] == report["total_messages"] > 50
    assert report["stopped"]["reason"] == "requested"


def test_an_aborted_run_counts_what_was_under_way_apart(run: Run) -> None:
    target = Endless()

    async def main() -> Report:
        generator = LoadGenerator(target, base_rate=1000, progress=False)
        test = asyncio.create_task(generator.run_load_test(60, 1))
        while generator.metrics.active <= 50:
            await asyncio.sleep(0.01)
        generator.abort()
        return await test

    report = run(main())
    assert report["ledger"]["aborted"] == target.ended > 50
    assert report["messages_failed"] == report["ledger"]["dropped"].get("unsent", 0)


def test_a_cancelled_run_ends_its_calls_and_threads(run: Run) -> None:
    target = Endless()

    async def main() -> None:
        generator = LoadGenerator(target, base_rate=1000, progress=False)
        test = asyncio.create_task(generator.run_load_test(60, 1))
        await asyncio.sleep(0.2)
        assert generator.metrics.active > 0 or generator.running
        started = time.monotonic()
        test.cancel()
        with pytest.raises(asyncio.CancelledError):
            await test
        assert time.monotonic() - started < 0.9
        assert not generator.running
        assert len(asyncio.all_tasks()) == 1

    run(main())
    assert target.ended > 50


def test_a_run_that_still_connects_ends_without_keeping_the_loop(run: Run) -> None:
    async def main() -> float:
        longest, last = 0.0, time.monotonic()

        async def beat() -> None:
            nonlocal longest, last
            while True:
                await asyncio.sleep(0.01)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()

        beating = asyncio.create_task(beat())
        # It accepts, and never says a word.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            generator = LoadGenerator(f"ws://127.0.0.1:{silent.getsockname()[1]}/", progress=False)
            test = asyncio.create_task(generator.run_load_test(60, 1))
            await asyncio.sleep(0.1)
            test.cancel()
            with pytest.raises(asyncio.CancelledError):
                await test
            assert not generator.running
        beating.cancel()
        return longest

    assert run(main()) < 0.5


def test_a_run_that_is_cancelled_twice_ends_its_calls_all_the_same(run: Run) -> None:
    target = Endless()

    async def main() -> None:
        test = asyncio.create_task(LoadGenerator(target, base_rate=1000, progress=False).run_load_test(60, 1))
        await asyncio.sleep(0.2)
        test.cancel()
        await asyncio.sleep(0)
        test.cancel()
        with pytest.raises(asyncio.CancelledError):
            await test
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert target.begun == target.ended > 50


def test_a_run_inside_a_timeout_ends_with_it(run: Run) -> None:
    async def target(msg: Any) -> bool:
        return True

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await LoadGenerator(target, progress=False).run_load_test(60, 1)

    run(main())


def test_other_callables_that_are_coroutine_functions_run_on_the_loop(run: Run) -> None:
    async def two(prefix: str, msg: Any) -> bool:
        return asyncio.current_task() is not None

    class Target:
        async def __call__(self, msg: Any) -> bool:
            return asyncio.current_task() is not None

        async def method(self, msg: Any) -> bool:
            return asyncio.current_task() is not None

    for target in (functools.partial(two, "x"), Target(), Target().method):
        assert storm(run, target)["messages_processed"] == 200


def test_a_task_factory_of_the_user_is_used(run: Run) -> None:
    made = 0

    async def target(msg: Any) -> bool:
        await asyncio.sleep(0)
        return True

    async def main() -> Report:
        def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            return asyncio.Task(coroutine, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(factory)
        return await LoadGenerator(target, base_rate=1000, progress=False).run_load_test(0.2, 1)

    assert run(main())["messages_processed"] == 200
    assert made >= 200


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are eager tasks from 3.12 on")
def test_an_eager_task_factory_is_fine(run: Run) -> None:
    async def target(msg: Any) -> bool:
        return True

    async def main() -> Report:
        if sys.version_info >= (3, 12):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        try:
            await asyncio.create_task(asyncio.sleep(0))
        except TypeError:
            pytest.skip("this loop does not get on with the factory itself")
        return await LoadGenerator(target, base_rate=1000, progress=False).run_load_test(0.2, 1)

    assert run(main())["messages_processed"] == 200


def test_debug_mode_finds_nothing_to_complain_of(loop_name: str, recwarn: Any) -> None:
    async def target(msg: Any) -> bool:
        await asyncio.sleep(0)
        return True

    with asyncio.Runner(debug=True, loop_factory=LOOPS[loop_name]) as runner:
        report = runner.run(LoadGenerator(target, base_rate=1000, progress=False).run_load_test(0.2, 1))
    assert report["messages_processed"] == 200
    assert [str(warning.message) for warning in recwarn] == []


def test_a_loop_that_watches_no_descriptors_is_woken_from_a_thread() -> None:
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, *arguments: Any) -> None:  # type: ignore[override]
            raise NotImplementedError

    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.001)
        return True

    with asyncio.Runner(loop_factory=Proactor) as runner:
        report = runner.run(LoadGenerator(target, base_rate=1000, progress=False).run_load_test(0.2, 1))
    assert report["messages_processed"] == 200


def test_figures_may_be_read_while_it_runs(run: Run) -> None:
    told: list[Any] = []

    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.001)
        return True

    async def main() -> LoadGenerator:
        generator = LoadGenerator(target, base_rate=1000, progress=told.append)
        assert generator.metrics.total_messages == 0
        await generator.run_load_test(2.2, 1)
        return generator

    generator = run(main())
    # Twice a second, about figures that the engine hands over once a second.
    assert len(told) == 4
    processed = [metrics.messages_processed for metrics in told]
    assert processed == sorted(processed) and 900 < processed[-1] <= 2200
    assert 200 < told[0].total_messages < told[-1].total_messages
    metrics = generator.metrics
    assert metrics.is_finished and metrics.messages_processed == 2200
    assert metrics.to_dict()["messages_processed"] == 2200
    assert metrics.memory_usage_mb > 5
    assert metrics.peak_throughput == generator.get_report()["peak_throughput"]


def test_a_line_shows_how_it_gets_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    async def target(msg: Any) -> bool:
        return True

    generator = LoadGenerator(target, base_rate=1000, progress=True, report_interval=0.2)
    run(generator.run_load_test(0.5, 1))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert "500 of 500 processed" in lines[-1] and "failed 0.00%" in lines[-1]


def test_a_run_leaves_nothing_in_memory(run: Run) -> None:
    class Target:
        async def __call__(self, msg: Any) -> bool:
            await asyncio.sleep(0.0001)
            return True

    target = Target()
    reference = weakref.ref(target)
    run(LoadGenerator(target, base_rate=1000, progress=False).run_load_test(0.1, 1))
    del target
    gc.collect()
    assert reference() is None


def test_stages_say_how_long_a_run_is(run: Run) -> None:
    async def target(msg: Any) -> bool:
        return True

    generator = LoadGenerator(target, base_rate=1000, progress=False)
    profile = LoadProfile.stages([(0.1, 1), (0.1, (1, 3))])
    report = run(generator.run_load_test(multiplier=1, profile=profile))
    assert report["total_messages"] == 300


def test_the_warm_up_enters_no_figure(run: Run) -> None:
    calls = 0

    async def target(msg: Any) -> bool:
        nonlocal calls
        calls += 1
        return True

    report = storm(run, target, warmup_seconds=0.2)
    assert (report["total_messages"], calls) == (200, 400)


def test_no_warning_is_given_without_a_reason(run: Run) -> None:
    async def target(msg: Any) -> bool:
        await asyncio.sleep(0.001)
        return True

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        storm(run, target)
