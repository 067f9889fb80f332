"""A strategy that knows its market through ccxt, stormed by an exchange that it takes for the real one. It follows the book
of the busiest pair and trades on paper: buys when much more is bid than asked, sells when it is the other way round."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import ccxt.pro

from tickstorm import LoadProfile, MockExchange, Report


class Strategy:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.updates = 0
        self.position = 0
        self.cash = 0.0

    async def run(self) -> None:
        await self.client.load_markets()
        symbol = self.client.symbols[0]
        while True:
            book = await self.client.watch_order_book(symbol)
            self.updates += 1
            (bid, bid_amount), (ask, ask_amount) = book["bids"][0][:2], book["asks"][0][:2]
            imbalance = (bid_amount - ask_amount) / (bid_amount + ask_amount)
            if imbalance > 0.6 and self.position < 5:
                self.position, self.cash = self.position + 1, self.cash - ask
            elif imbalance < -0.6 and self.position > -5:
                self.position, self.cash = self.position - 1, self.cash + bid


def pointed_at(exchange: MockExchange, client: Any) -> Any:
    """The client with all its addresses at the exchange."""

    def moved(address: Any) -> Any:
        if isinstance(address, dict):
            return {name: moved(each) for name, each in address.items()}
        parts = urlsplit(address)
        url = exchange.ws_url if parts.scheme in ("ws", "wss") else exchange.rest_url
        return url(client.id, parts.path)

    client.urls["api"] = moved(client.urls["api"])
    return client


async def main(seconds: float = 10, multiplier: float = 20) -> Report:
    exchange = MockExchange(
        symbols=10,
        multiplier=multiplier,
        profile=LoadProfile.SPIKE,
        duration_seconds=seconds,
        thresholds=["age<500ms"],
    )
    async with exchange:
        client = pointed_at(exchange, ccxt.pro.okx())
        strategy = Strategy(client)
        task = asyncio.create_task(strategy.run())
        report = await exchange.finished()
        task.cancel()
        # The exchange has taken leave of it, as exchanges do.
        await asyncio.gather(task, return_exceptions=True)
        await client.close()
    print(report.summary())
    print(f"{strategy.updates:,} books, position {strategy.position}, cash {strategy.cash:,.2f}")
    return report


if __name__ == "__main__":
    asyncio.run(main())
