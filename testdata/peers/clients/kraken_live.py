"""Points python-kraken-sdk at a mock exchange, keeps books there, and says whether every checksum was valid.

The library is as it comes: only its base addresses are others. It ends when the exchange closes the connection, or after
the given time.
"""

import argparse
import asyncio
import json
import logging
import time

from kraken.spot import Market, SpotOrderBookClient


class Books(SpotOrderBookClient):
    """Counts what the library thinks of each message."""

    def __init__(self, depth):
        super().__init__(depth=depth)
        self.snapshots = self.valid = self.crossed = 0
        self.last_ns = None
        self.invalid = []

    async def on_book_update(self, pair, message):
        if "error" in message:
            return
        self.last_ns = time.monotonic_ns()
        book = self.get(pair)
        if not book["valid"]:
            self.invalid.append(pair)
        elif message["type"] == "snapshot":
            self.snapshots += 1
        else:
            self.valid += 1
        if book["bid"] and book["ask"]:
            self.crossed += float(next(iter(book["bid"]))) >= float(next(iter(book["ask"])))


class Complaints(logging.Handler):
    """What the library logs because something is wrong."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="host and port of the exchange")
    parser.add_argument("--seconds", type=float, default=60, help="how long at most")
    parser.add_argument("--symbols", type=int, default=100, help="how many books, of the busiest symbols")
    parser.add_argument("--depth", type=int, default=10)
    arguments = parser.parse_args()

    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    Market.URL = f"http://{arguments.host}"
    SpotOrderBookClient.WS_URL = f"ws://{arguments.host}"
    # On its sockets Kraken has the usual names, and its older ones in its answers.
    names = (pair["wsname"] for pair in Market().get_asset_pairs().values())
    pairs = [name.replace("XBT/", "BTC/").replace("XDG/", "DOGE/") for name in names][: arguments.symbols]
    books = Books(arguments.depth)
    await books.start()
    await books.add_book(pairs)
    started = time.monotonic()
    # The library does not say that its connection is gone: it connects again. Before that it is quiet.
    while time.monotonic() - started < arguments.seconds and not complaints.texts and not books.exception_occur:
        await asyncio.sleep(0.05)
    print(
        json.dumps(
            {
                "symbols": len(pairs),
                "seconds": round(time.monotonic() - started, 1),
                "snapshots": books.snapshots,
                "valid": books.valid,
                "invalid": books.invalid,
                "crossed": books.crossed,
                "complaints": complaints.texts,
            }
        ),
        flush=True,
    )
    await books.close()


asyncio.run(main())
