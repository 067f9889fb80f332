"""A pipeline of a queue and workers. A message is done when a worker is done with it, so that the time in the queue is in
its latency."""

import asyncio
from decimal import Decimal
from typing import Any

from tickstorm import LoadGenerator, LoadProfile

Job = tuple[dict[str, Any], asyncio.Future[bool]]


class Pipeline:
    def __init__(self, workers: int) -> None:
        self.queue: asyncio.Queue[Job] = asyncio.Queue()
        self.volume: dict[str, Decimal] = {}
        self.workers = [asyncio.create_task(self._work()) for _ in range(workers)]

    async def submit(self, msg: dict[str, Any]) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self.queue.put((msg, done))
        return await done

    async def _work(self) -> None:
        while True:
            msg, done = await self.queue.get()
            if msg["type"] == "trade":
                traded = Decimal(msg["price"]) * Decimal(msg["quantity"])
                self.volume[msg["symbol"]] = self.volume.get(msg["symbol"], Decimal(0)) + traded
            await asyncio.sleep(0.001)  # a write to a database, say
            # Nobody waits for what has timed out.
            if not done.done():
                done.set_result(True)


async def main(seconds: float = 10) -> None:
    pipeline = Pipeline(workers=8)
    generator = LoadGenerator(pipeline.submit, base_rate=500, thresholds=["p99<50ms"])
    for multiplier in [1, 2, 5, 10]:
        report = await generator.run_load_test(seconds, multiplier, LoadProfile.NORMAL)
        print(f"{multiplier:>3}x  {report!r}")
        if not report.passed:
            break
    for worker in pipeline.workers:
        worker.cancel()


if __name__ == "__main__":
    asyncio.run(main())
