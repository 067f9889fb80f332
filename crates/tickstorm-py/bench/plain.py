"""The same interface in plain asyncio, as one would write it: what the package is measured beside."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any


class WebSocketMessageGenerator:
    """Messages that look like an exchange's: random walks of prices, and an order book that nobody keeps."""

    def __init__(self, seed: int = 1, symbols: int = 100) -> None:
        self._random = random.Random(seed)
        self._symbols = [f"A{number:04}USDT" for number in range(symbols)]
        self._prices = {symbol: self._random.uniform(1, 50_000) for symbol in self._symbols}
        self._sequences = dict.fromkeys(self._symbols, 0)

    def message(self) -> dict[str, Any]:
        symbol = self._random.choice(self._symbols)
        self._sequences[symbol] += 1
        price = self._prices[symbol] * (1 + self._random.gauss(0, 0.0001))
        self._prices[symbol] = price
        kind = self._random.random()
        message = {"symbol": symbol, "sequence": self._sequences[symbol], "timestamp": perf_counter()}
        if kind < 0.9:
            side = "bids" if self._random.random() < 0.5 else "asks"
            message |= {"type": "book", side: [[f"{price:.4f}", f"{self._random.expovariate(1):.6f}"]]}
        else:
            side = "buy" if self._random.random() < 0.5 else "sell"
            message |= {"type": "trade", "price": f"{price:.4f}", "quantity": f"{self._random.expovariate(1):.6f}"}
            message["side"] = side
        return message

    def __iter__(self) -> Iterator[str]:
        while True:
            yield json.dumps(self.message())


class LoadGenerator:
    """Starts a task a message at its due time, each with a timeout, and keeps every measurement in a list."""

    def __init__(
        self,
        target_system: Callable[[dict[str, Any]], Awaitable[Any]],
        base_rate: float = 100,
        max_concurrent: int = 1000,
        timeout_seconds: float = 5,
    ) -> None:
        self._target = target_system
        self._base_rate = base_rate
        self._timeout = timeout_seconds
        self._slots = asyncio.Semaphore(max_concurrent)
        self._messages = WebSocketMessageGenerator()
        self.lags: list[float] = []
        self.latencies: list[float] = []
        self.processed = 0
        self.failed = 0

    async def run_load_test(self, duration_seconds: float, multiplier: float = 1) -> None:
        rate = self._base_rate * multiplier
        start = perf_counter()
        tasks: set[asyncio.Task[None]] = set()
        for number in range(round(rate * duration_seconds)):
            # Due times come from start and rate, so that being late once is not being late for good.
            due = start + (number + 0.5) / rate
            wait = due - perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._slots.acquire()
            task = asyncio.create_task(self._process(self._messages.message(), due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            # A loop that is behind must still let its tasks run.
            if number % 100 == 99:
                await asyncio.sleep(0)
        while tasks:
            await asyncio.wait(tasks)

    async def _process(self, message: dict[str, Any], due: float) -> None:
        self.lags.append(perf_counter() - due)
        try:
            if await asyncio.wait_for(self._target(message), self._timeout):
                self.processed += 1
            else:
                self.failed += 1
        except Exception:
            self.failed += 1
        finally:
            self.latencies.append(perf_counter() - due)
            self._slots.release()
