"""Points ccxt at a mock exchange, watches one market there, and says what it has seen.

ccxt is as it comes: only its base addresses are others. It ends when the exchange closes its connections, or after the
given time.
"""

import argparse
import asyncio
import json
import time
from urllib.parse import urlsplit

import aiohttp
import ccxt.pro


def point(urls, host):
    """Has every address of the exchange lead to the host, on the same paths."""
    for name, url in urls.items():
        if isinstance(url, dict):
            point(url, host)
        else:
            scheme, _, path, *_ = urlsplit(url)
            urls[name] = f"{'ws' if scheme == 'wss' else 'http'}://{host}{path}"


class Seen:
    """What one market's subscriptions have told."""

    def __init__(self, exchange, symbol):
        self.exchange = exchange
        self.symbol = symbol
        self.errors = []
        self.ended = []
        self.books = self.crossed = self.trades = self.tickers = 0
        self.nonce = None
        self.trade_ids = set()
        self.posts = {"right": 0, "wrong": [], "unknown": 0}
        self.book = None

    async def watch(self, kind):
        watch = getattr(self.exchange, f"watch_{kind}")
        look = getattr(self, f"on_{kind}")
        while True:
            try:
                look(await watch(self.symbol))
            except ccxt.NetworkError as error:
                told = self.books + self.trades + self.tickers > 0
                (self.ended if told and takes_leave(error) else self.errors).append(describe(error))
                return
            except Exception as error:
                self.errors.append(describe(error))
                return

    def on_order_book(self, book):
        self.books += 1
        self.nonce = book["nonce"]
        self.book = book
        if book["bids"] and book["asks"]:
            self.crossed += book["bids"][0][0] >= book["asks"][0][0]

    def on_trades(self, trades):
        self.trades += len(trades)
        self.trade_ids.update(trade["id"] for trade in trades)

    def on_ticker(self, ticker):
        self.tickers += ticker["last"] is not None

    async def post(self, host, every):
        """Asks the exchange from time to time whether the best prices of the book are the true ones."""
        market = self.exchange.market(self.symbol)
        while True:
            await asyncio.sleep(every)
            if not self.book or not self.book["bids"] or not self.book["asks"]:
                continue
            level = lambda side: [self.exchange.number_to_string(value) for value in self.book[side][0][:2]]
            body = {
                "client": "ccxt",
                "venue": self.exchange.id,
                # On its sockets Kraken has other names than in its answers, and they are ccxt's.
                "symbol": self.symbol if self.exchange.id == "kraken" else market["id"],
                "bid": level("bids"),
                "ask": level("asks"),
            }
            # The nonce of Bybit counts messages, and the other two have none. ccxt changes the book that it has handed out,
            # so the nonce last watched may be older than the prices, which are of now.
            if self.exchange.id in ("binance", "okx"):
                body["sequence"] = self.book["nonce"]
            try:
                async with self.exchange.session.post(f"http://{host}/tickstorm/book", json=body) as answer:
                    grade = await answer.json()
            except aiohttp.ClientConnectionError:
                # The exchange has closed its doors.
                return
            if grade["correct"]:
                self.posts["right"] += 1
            elif grade["correct"] is None:
                self.posts["unknown"] += 1
            else:
                self.posts["wrong"].append({"post": body, "grade": grade})


def takes_leave(error):
    """Whether the exchange has closed the connection, or says that it is about to, as OKX does."""
    return "closed by" in str(error) or '"64008"' in str(error)


def describe(error):
    return f"{type(error).__name__}: {error}"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="host and port of the exchange")
    parser.add_argument("venue")
    parser.add_argument("--seconds", type=float, default=60, help="how long at most, from the first message")
    parser.add_argument("--symbol", help="the first of the market if none is given")
    parser.add_argument("--kinds", default="order_book,trades,ticker")
    parser.add_argument("--post-every", type=float, default=0.25, help="seconds between looks at the book")
    arguments = parser.parse_args()

    exchange = getattr(ccxt.pro, arguments.venue)()
    point(exchange.urls["api"], arguments.host)
    markets = await exchange.load_markets()
    symbol = arguments.symbol or next(iter(markets))
    seen = Seen(exchange, symbol)
    started = time.monotonic()
    kinds = arguments.kinds.split(",")
    watches = [asyncio.create_task(seen.watch(kind)) for kind in kinds]
    posts = asyncio.create_task(seen.post(arguments.host, arguments.post_every)) if "order_book" in kinds else None
    await asyncio.wait(watches, timeout=arguments.seconds)
    seconds = time.monotonic() - started
    for task in [*watches, *([posts] if posts else [])]:
        task.cancel()
    await exchange.close()
    print(
        json.dumps(
            {
                "venue": arguments.venue,
                "symbols": len(markets),
                "symbol": symbol,
                "seconds": round(seconds, 1),
                "errors": seen.errors,
                "ended": seen.ended,
                "books": seen.books,
                "crossed": seen.crossed,
                "nonce": seen.nonce,
                "trades": seen.trades,
                "distinct_trades": len(seen.trade_ids),
                "tickers": seen.tickers,
                "posts": seen.posts,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
