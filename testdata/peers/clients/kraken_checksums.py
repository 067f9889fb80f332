"""Gives book messages to python-kraken-sdk, which keeps the books and checks every checksum, and says what it found."""

import argparse
import asyncio
import json
from urllib.parse import urlencode

from kraken.spot import SpotOrderBookClient

import venue


class Books(SpotOrderBookClient):
    """Counts what the library thinks of each message, and does not let it subscribe anew."""

    def __init__(self, depth):
        super().__init__(depth=depth)
        # The library asks for the decimals of a pair by HTTP.
        self._SpotOrderBookClient__market.request = request
        self.valid = 0
        self.invalid = []

    async def on_book_update(self, pair, message):
        if self.get(pair)["valid"]:
            self.valid += message["type"] == "update"
        else:
            self.invalid.append(pair)
            raise Invalid


class Invalid(Exception):
    pass


def request(method, uri, params=None, **_):
    status, _, body = venue.http(method, f"{uri}?{urlencode(params or {})}")
    answer = json.loads(body)
    if status != 200 or answer["error"]:
        raise SystemExit(f"{uri}: {body}")
    return answer["result"]


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stream")
    parser.add_argument("--depth", type=int, required=True)
    arguments = parser.parse_args()
    books = Books(arguments.depth)
    with open(arguments.stream, encoding="ascii") as stream:
        for line in stream:
            try:
                await books.on_message(json.loads(line))
            except Invalid:
                break
    venue.hold({"valid": books.valid, "invalid": books.invalid})


asyncio.run(main())
