"""Load tests against a target."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import inspect
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from . import _tickstorm
from ._errors import AlreadyRunning, RunError, SettingError
from ._messages import FORMS
from ._profile import LoadProfile
from ._progress import Progress
from ._report import Report
from ._settings import Settings, arguments_of, checked, more, number, one_of, plain, seconds, texts, whole, wrong_type
from ._tickstorm import Metrics

#: What is called with a message: a coroutine function, or a plain one.
TargetFunction = Callable[[Any], Any]


class LoadGenerator:
    """Runs load tests against one target. Each run starts from fresh figures.

    ``target_system`` is a coroutine function, which is called on the loop that :meth:`run_load_test` is awaited on; a
    plain callable, which is called in threads (``plain_calls="loop"`` calls it on the loop); or the address of a server,
    as ``"ws://127.0.0.1:9001/feed"`` or ``"builtin:?service=1ms"``, which is stormed without the interpreter. A call has
    processed its message if it returns anything true, or nothing at all; another false value is a rejection, and an
    exception is counted by the name of its type.

    A message is a dict: ``type``, ``symbol``, ``sequence``, ``event``, ``due_ns``, ``last`` and the fields of its type,
    decimals as texts. ``messages="bytes"`` or ``"str"`` gives what the ``venue`` puts on the wire. With ``batch=N`` it is
    a list of up to N messages that are due together; they succeed or fail together.

    :param base_rate: messages per second at multiplier 1, above zero.
    :param report_interval: seconds, at least 0.1: length of an entry of the report's timeline.
    :param max_concurrent: messages that may be under way at once. What is due beyond it waits, and the wait counts in
        its latency; with ``at_limit="drop"`` it is dropped and counted.
    :param timeout_seconds: how long after its start a call may take. It is then cancelled and has failed; its slot is
        taken until it really ends. (Calls in threads cannot be cancelled, only counted.)
    :param error_threshold: share of failed messages, 0 to 1, above which a run fails.
    :param thresholds: further limits, as ``"p99<50ms"``.
    :param warmup_seconds: a phase at the base rate before each run, which enters no figure.
    :param seed: everything random follows from it.
    :param symbols: instruments in the market, 1 to 10,000.
    :param progress: called with the :class:`Metrics` twice a second; or whether a line shows them. By default one does on
        a terminal and in a notebook.
    :param settings: further settings by their names on the command line, as ``{"scenario": "flash-crash"}``.

    Raises ``TypeError`` or :class:`SettingError` (a ``ValueError``) for a wrong argument.
    """

    def __init__(
        self,
        target_system: TargetFunction | str,
        base_rate: float = 100,
        report_interval: float | timedelta = 10,
        max_concurrent: int = 1000,
        timeout_seconds: float | timedelta = 5,
        error_threshold: float = 0.01,
        *,
        thresholds: Iterable[str] = (),
        batch: int = 1,
        at_limit: str = "wait",
        warmup_seconds: float | timedelta = 0,
        seed: int = 1,
        symbols: int = 100,
        venue: str = "binance",
        messages: str = "dict",
        plain_calls: str = "threads",
        progress: Callable[[Metrics], object] | bool | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        if not callable(target_system) and not isinstance(target_system, str):
            allowed = "a callable or the address of a server"
            raise wrong_type("target_system", target_system, allowed)
        _refuse_what_would_never_run(target_system)
        if not isinstance(venue, str):
            raise wrong_type("venue", venue, "text")
        if progress is not None and not isinstance(progress, bool) and not callable(progress):
            raise wrong_type("progress", progress, "a callable, a bool or None")
        pairs: Settings = [
            ("base_rate", "base-rate", plain(number("base_rate", base_rate))),
            ("report_interval", "report-interval", seconds("report_interval", report_interval)),
            ("max_concurrent", "max-concurrent", str(whole("max_concurrent", max_concurrent))),
            ("timeout_seconds", "timeout", seconds("timeout_seconds", timeout_seconds)),
            ("error_threshold", "error-threshold", plain(number("error_threshold", error_threshold), decimals=12)),
            ("batch", "batch", str(whole("batch", batch))),
            ("at_limit", "at-limit", one_of("at_limit", at_limit, ("wait", "drop"))),
            ("warmup_seconds", "warmup", seconds("warmup_seconds", warmup_seconds)),
            ("seed", "seed", str(whole("seed", seed))),
            ("symbols", "symbols", str(whole("symbols", symbols))),
            ("venue", "venue", venue),
        ]
        own = arguments_of(pairs) | dict.fromkeys(("duration", "multiplier", "profile", "stages"), _OF_A_RUN)
        pairs += [("thresholds", "threshold", each) for each in texts("thresholds", thresholds, "['p99<50ms']")]
        pairs += more(settings, own)
        self._form = one_of("messages", messages, FORMS)
        place = one_of("plain_calls", plain_calls, ("threads", "loop"))
        address = target_system if isinstance(target_system, str) else None
        self._target = None if isinstance(target_system, str) else target_system
        if self._target is None or _is_async(self._target):
            self._place = "loop"
        else:
            self._place = "threads" if place == "threads" else "inline"
        self._takes_lists = batch > 1
        self._progress = progress
        self._report_interval = _in_seconds(report_interval)
        self._engine = checked(lambda: _tickstorm.Engine(pairs, address))
        self._run: _tickstorm.Running | None = None
        # Held while a run is under way, by whatever thread.
        self._is_taken = threading.Lock()
        self._report: Report | None = None

    async def run_load_test(
        self,
        duration_seconds: float | timedelta | None = None,
        multiplier: float = 10,
        profile: LoadProfile | str = LoadProfile.NORMAL,
    ) -> Report:
        """Runs one load test and returns its report. Cancelling it ends the run at once.

        ``duration_seconds`` is the length of the measured phase, by default 60, or that of the profile's stages;
        ``multiplier`` what the base rate is multiplied by.

        Raises :class:`AlreadyRunning` while another run of this generator is under way, :class:`RunError` if the target
        cannot be reached, ``TypeError`` or :class:`SettingError` for a wrong argument.
        """
        duration = None if duration_seconds is None else seconds("duration_seconds", duration_seconds)
        factor = plain(number("multiplier", multiplier))
        form = LoadProfile(profile).value
        if not self._is_taken.acquire(blocking=False):
            raise AlreadyRunning("this generator is running a load test already: await it, or make a second one")
        try:
            return await self._storm(duration, factor, form)
        finally:
            self._is_taken.release()

    async def _storm(self, duration: str | None, factor: str, form: str) -> Report:
        loop = asyncio.get_running_loop()
        host = _tickstorm.Host(
            loop,
            self._target,
            place=self._place,
            form=self._form,
            takes_lists=self._takes_lists,
            context=contextvars.copy_context(),
        )
        run = checked(lambda: self._engine.start(duration, factor, form, host))
        self._run = run
        under_way.add(run)
        progress = Progress(self._progress, run.metrics, self._report_interval)
        try:
            host.attach()
            progress.start(loop)
            await _follow(run, host)
        except GeneratorExit:
            # The loop was left where it stands: nothing can be awaited any more.
            run.abort()
            run.join()
            raise
        finally:
            run.abort()
            try:
                await _join(run, host)
            finally:
                host.detach()
                progress.stop()
        result = run.result()
        if result is None:
            raise RunError("the run ended without a report; what went wrong was printed")
        text, problem = result
        if text is None:
            raise RunError(problem)
        self._report = Report(text, run.summary() or "")
        # Only now: where warnings are errors, the report is there all the same.
        if host.under_way:
            warnings.warn(
                f"{host.under_way} messages are still with the target although their calls were cancelled or cannot be",
                RuntimeWarning,
                stacklevel=3,
            )
        return self._report

    def run(
        self,
        duration_seconds: float | timedelta | None = None,
        multiplier: float = 10,
        profile: LoadProfile | str = LoadProfile.NORMAL,
    ) -> Report:
        """The same where no loop is running: on a loop of its own. Raises :class:`RunError` where one is."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RunError("a loop is running here, as in a notebook: `await` run_load_test(...) instead of run(...)")
        return asyncio.run(self.run_load_test(duration_seconds, multiplier, profile))

    def get_report(self) -> Report:
        """The report of the last run that ended. Raises :class:`RunError` before the first."""
        if self._report is None:
            raise RunError("there is no report yet: no run of this generator has ended")
        return self._report

    @property
    def metrics(self) -> Metrics:
        """The figures of the run under way, or else of the last one; all zero before the first."""
        return Metrics() if self._run is None else self._run.metrics()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._is_taken.locked()

    def stop(self) -> None:
        """Lets nothing more fall due; the run then ends with a report of what was measured. From any thread; without a
        run nothing happens."""
        if self.running and self._run is not None:
            self._run.stop()

    def abort(self) -> None:
        """Ends the run at once: calls under way are cancelled and count as aborted. From any thread."""
        if self.running and self._run is not None:
            self._run.abort()

    def settings(self) -> dict[str, str]:
        """Every setting with its value as text, by its name on the command line."""
        return dict(self._engine.describe())

    def __repr__(self) -> str:
        settings = self.settings()
        return f"<LoadGenerator {settings['target']} at {settings['base-rate']}, {'running' if self.running else 'idle'}>"


async def _join(run: _tickstorm.Running, host: _tickstorm.Host) -> None:
    """Waits until the threads of a run that was told to end are gone. One that still connects may take some time, which
    is no reason for the loop to stand still."""
    if host.done.done() or run.is_joined():
        run.join()
    else:
        await asyncio.get_running_loop().run_in_executor(None, run.join)
    under_way.discard(run)


async def _follow(run: _tickstorm.Running, host: _tickstorm.Host) -> None:
    """Waits for the end of a run and of its calls. Being cancelled ends them."""
    try:
        await asyncio.shield(host.done)
        await _end_calls(host)
    except asyncio.CancelledError:
        run.abort()
        try:
            await asyncio.wait([host.done], timeout=PATIENCE)
            await _end_calls(host)
        finally:
            # Who cancels again does not want to wait for them, but does not want them either.
            _cancel(host)
        raise


async def _end_calls(host: _tickstorm.Host) -> None:
    """Gives calls that nobody waits for any more some time to end."""
    deadline = time.monotonic() + PATIENCE
    while host.under_way and time.monotonic() < deadline:
        tasks = _cancel(host)
        if tasks:
            await asyncio.wait(tasks, timeout=_LOOK_EVERY)
        else:
            await asyncio.sleep(_LOOK_EVERY)


def _cancel(host: _tickstorm.Host) -> list[asyncio.Task[object]]:
    tasks = host.tasks()
    for task in tasks:
        task.cancel()
    return tasks


def _is_async(target: TargetFunction) -> bool:
    return any(inspect.iscoroutinefunction(function) for function in _functions(target))


def _refuse_what_would_never_run(target: object) -> None:
    """A target whose call only makes an object looks as if it did its work, and fast."""
    if isinstance(target, type) and any("__call__" in vars(each) for each in target.__mro__):
        raise TypeError(f"target_system must be called itself: give an object of {target!r}, which is a class")
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _functions(target)):
        raise TypeError(f"target_system must do its work when it is called: {target!r} has a `yield`, so a call runs none")


def _functions(target: object) -> tuple[object, ...]:
    """What may be the function behind a target. That of a class is its objects'."""
    return (target,) if isinstance(target, type) else (target, getattr(target, "__call__", None))


def _in_seconds(length: float | timedelta) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else float(length)


def _end_all() -> None:
    """No run outlives the interpreter."""
    for run in list(under_way):
        run.abort()
        run.join()


#: Runs whose threads are there.
under_way: set[_tickstorm.Running] = set()

# Threads that make calls are waited for at exit, and would wait for the end of their run; functions registered so are
# called before that.
getattr(threading, "_register_atexit", atexit.register)(_end_all)

#: Seconds that something which was told to end is waited for.
PATIENCE = 1.0
_LOOK_EVERY = 0.02
_OF_A_RUN = "it comes with each run: give it to run_load_test"
