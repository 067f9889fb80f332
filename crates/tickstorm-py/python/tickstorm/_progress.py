"""Showing how a run gets on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TextIO

from ._tickstorm import Metrics


class Progress:
    """Calls a function, or keeps a line up to date, while a run is under way."""

    def __init__(
        self,
        wanted: Callable[[Metrics], object] | bool | None,
        metrics: Callable[[], Metrics],
        report_interval: float,
    ) -> None:
        self._metrics = metrics
        self._handle: asyncio.TimerHandle | None = None
        self._every = _EVERY
        self._tell: Callable[[Metrics], object] | None = None
        self._line: _Line | None = None
        if callable(wanted):
            self._tell = wanted
        elif wanted or (wanted is None and _is_watched()):
            self._line = _Line(sys.stderr, _is_watched())
            self._tell = self._line.show
            if not _is_watched():
                self._every = report_interval

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._tell is not None:
            self._handle = loop.call_later(self._every, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        # First the next turn, so that one that raises is not the last.
        self.start(loop)
        if self._tell is not None:
            self._tell(self._metrics())

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if self._line is not None:
            self._line.show(self._metrics())
            self._line.end()


class _Line:
    def __init__(self, stream: TextIO, is_watched: bool) -> None:
        self._stream = stream
        self._is_watched = is_watched
        self._width = 0

    def show(self, metrics: Metrics) -> None:
        text = (
            f"tickstorm {metrics.elapsed:6.1f} s  {metrics.messages_processed} of {metrics.total_messages} processed"
            f"  {metrics.throughput:.0f} msg/s  failed {metrics.error_rate:.2%}  active {metrics.active}"
            f"  avg {metrics.avg_latency_ms:.2f} ms  P99 {metrics.p99_latency_ms:.2f} ms"
            f"  {metrics.memory_usage_mb:.0f} MB"
        )
        if self._is_watched:
            print(f"\r{text.ljust(self._width)}", end="", file=self._stream, flush=True)
            self._width = len(text)
        else:
            print(text, file=self._stream, flush=True)

    def end(self) -> None:
        if self._is_watched:
            print(file=self._stream, flush=True)


def _is_watched() -> bool:
    """Whether somebody sees a line change: on a terminal, or in a notebook."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


_EVERY = 0.5
