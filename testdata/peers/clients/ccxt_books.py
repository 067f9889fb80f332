"""Gives a stream of messages to ccxt, and says what it has made of them.

ccxt's own code loads the markets, subscribes, reads every message and keeps the books. Replaced are only the two ends of
its network: HTTP requests and what it says on its sockets go to the test.
"""

import argparse
import asyncio
import contextlib
import json
from urllib.parse import urlsplit

import ccxt.pro
from ccxt.async_support.base.ws.client import Client

import venue


class Socket(Client):
    """A connection that was always there."""

    errors = []

    def connect(self, session, backoff_delay=0):
        if not self.connected.done():
            self.connected.resolve(self.url)
        return self.connected

    async def send(self, message):
        for reply in venue.socket(message if isinstance(message, str) else json.dumps(message)):
            self.handle_text_or_binary_message(reply)

    def reject(self, result, message_hash=None):
        self.errors.append(f"{type(result).__name__}: {result}")
        return super().reject(result, message_hash)


def offline(exchange):
    """The class of an exchange without its network."""

    class Offline(exchange):
        books_may_come = None

        def client(self, url):
            if url not in self.clients:
                callbacks = self.handle_message, self.on_error, self.on_close, self.on_connected
                self.clients[url] = Socket(url, *callbacks)
            return self.clients[url]

        @property
        def socket(self):
            """The one of the books, to which all messages come: only books look at where they come from."""
            return next(iter(self.clients.values()))

        async def fetch(self, url, method="GET", headers=None, body=None):
            parts = urlsplit(url)
            if parts.path.endswith("/depth"):
                await self.books_may_come.wait()
            target = f"{parts.path}?{parts.query}"
            status, headers, text = venue.http(method, target, body)
            answer = self.parse_json(text)
            self.handle_errors(status, "", url, method, headers, text, answer, {}, body)
            self.handle_http_status_code(status, "", url, method, text)
            return answer

    return Offline


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stream")
    parser.add_argument("exchange")
    parser.add_argument("--depth", type=int, help="levels a side to subscribe to; else those that ccxt chooses")
    parser.add_argument("--books-after", type=int, default=0, help="messages that pass before books come by HTTP")
    arguments = parser.parse_args()

    options = {"tradesLimit": 1_000_000}
    if arguments.exchange == "binance":
        options["fetchMarkets"] = {"types": ["spot"]}
    exchange = offline(getattr(ccxt.pro, arguments.exchange))({"options": options, "enableRateLimit": False})
    exchange.books_may_come = asyncio.Event()
    await exchange.load_markets()
    symbols = list(exchange.symbols)

    # Bybit takes no more in one request, and ccxt does not split requests.
    at_once = 10 if arguments.exchange == "bybit" else len(symbols)
    watches = []
    for some in (symbols[start : start + at_once] for start in range(0, len(symbols), at_once)):
        for watch in (
            exchange.watch_order_book_for_symbols(some, arguments.depth),
            exchange.watch_trades_for_symbols(some),
            exchange.watch_tickers(some),
        ):
            watches.append(asyncio.ensure_future(watch))
    await settle()
    uncut = []
    if arguments.exchange == "bybit":
        # ccxt keeps levels that have fallen out of sight: cutting its books is left to its user.
        uncut = [exchange.order_book({}, arguments.depth) for _ in symbols]
        exchange.orderbooks.update(zip(symbols, uncut))
    if arguments.exchange == "binance":
        # What is left of watching balances without an account.
        exchange.socket.subscriptions["spot"] = True
        exchange.balance["spot"] = {}

    with open(arguments.stream, encoding="ascii") as stream:
        for count, line in enumerate(stream):
            if count == arguments.books_after:
                exchange.books_may_come.set()
                await settle()
            exchange.socket.handle_text_or_binary_message(line.rstrip("\n"))
            for book in uncut:
                book.limit()
    await settle()

    for watch in watches:
        if watch.done() and not watch.cancelled() and watch.exception():
            Socket.errors.append(repr(watch.exception()))
        watch.cancel()
    books = {symbol: exchange.orderbooks[symbol].limit() for symbol in symbols if symbol in exchange.orderbooks}
    venue.hold(
        {
            "symbols": symbols,
            "books": {
                symbol: {side: [level[:2] for level in book[side]] for side in ("bids", "asks")}
                for symbol, book in books.items()
            },
            "trades": {
                symbol: {"count": len(trades)} | {key: trades[-1][key] for key in ("price", "amount", "side")}
                for symbol, trades in exchange.trades.items()
            },
            "last": {symbol: ticker["last"] for symbol, ticker in exchange.tickers.items()},
            "errors": Socket.errors,
        }
    )
    with contextlib.suppress(Exception):
        await exchange.close()


async def settle():
    """Lets everything run that waits for nothing but its turn."""
    for _ in range(200):
        await asyncio.sleep(0)


asyncio.run(main())
