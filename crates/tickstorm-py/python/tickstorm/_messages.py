"""The messages without a target."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from . import _tickstorm
from ._errors import SettingError
from ._settings import Settings, arguments_of, checked, more, number, one_of, plain, whole, wrong_type

FORMS = ("dict", "bytes", "str")


class WebSocketMessageGenerator:
    """An endless, reproducible stream of exchange messages: the same seed gives the same ones, on every machine.

    Iterate over it with ``for`` or ``async for``; all iterators share one stream. A message is a dict (``type``,
    ``symbol``, ``sequence``, ``event``, ``due_ns``, ``last`` and the fields of its type, decimals as texts), or, with
    ``messages="bytes"`` or ``"str"``, what the ``venue`` puts on the wire.

    ``rate`` is the average number of messages a second in ``due_ns``, in realistic bursts. ``paced=True`` has
    ``async for`` wait until each message is due, counted from the first one. ``settings`` are further settings of a run
    by their names on the command line, as ``{"scenario": "flash-crash", "duration": "60s"}``; with a duration the stream
    ends.

    Raises :class:`SettingError` or ``TypeError`` for a wrong argument.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        symbols: int = 100,
        venue: str = "binance",
        messages: str = "dict",
        rate: float = 1000,
        paced: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        if not isinstance(venue, str):
            raise wrong_type("venue", venue, "text")
        if not isinstance(paced, bool):
            raise wrong_type("paced", paced, "a bool")
        pairs: Settings = [
            ("seed", "seed", str(whole("seed", seed))),
            ("symbols", "symbols", str(whole("symbols", symbols))),
            ("venue", "venue", venue),
            ("rate", "base-rate", plain(number("rate", rate))),
        ]
        form = one_of("messages", messages, FORMS)
        pairs += more(settings, arguments_of(pairs))
        self._paced = paced
        self._messages = checked(lambda: _tickstorm.Messages(pairs, form))

    def __iter__(self) -> Iterator[Any]:
        # The native iterator itself: nothing of ours stands between a loop and a message.
        return self._messages

    def __next__(self) -> Any:
        return next(self._messages)

    async def __aiter__(self) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        started: float | None = None
        for count, message in enumerate(self._messages):
            if self._paced:
                due = self._messages.due_ns / 1e9
                if started is None:
                    started = loop.time() - due
                wait = started + due - loop.time()
                # A loop's timers are no finer.
                if wait > 0.001:
                    await asyncio.sleep(wait)
            if count % _MOST_WITHOUT_A_PAUSE == _MOST_WITHOUT_A_PAUSE - 1:
                await asyncio.sleep(0)
            yield message

    def take(self, count: int) -> list[Any]:
        """The next messages, so many of them or as many as there are."""
        if whole("count", count) < 0:
            raise SettingError(f"count must not be negative, got {count}")
        return self._messages.take(count)

    @property
    def symbols(self) -> list[str]:
        """Names of the instruments, busiest first."""
        return self._messages.symbols

    def snapshot(self, symbol: str) -> dict[str, Any]:
        """The book of a symbol after the messages handed out so far: ``symbol``, ``sequence``, ``update_id``, and
        ``bids`` and ``asks`` as pairs of price and quantity, best first. Raises ``KeyError`` for an unknown symbol."""
        book = self._messages.snapshot(symbol)
        if book is None:
            raise KeyError(symbol)
        return book


_MOST_WITHOUT_A_PAUSE = 256
