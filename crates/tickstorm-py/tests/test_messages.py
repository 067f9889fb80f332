"""The messages without a target."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from tickstorm import WebSocketMessageGenerator, check


def test_the_stream_is_seeded() -> None:
    first, again, other = (WebSocketMessageGenerator(seed).take(1000) for seed in (7, 7, 8))
    assert first == again != other


def test_books_follow_from_their_messages() -> None:
    stream = WebSocketMessageGenerator(3, symbols=5)
    assert stream.symbols[0] == "BTCUSDT" and len(stream.symbols) == 5
    books = {name: stream.snapshot(name) for name in stream.symbols}
    sides = {
        name: {"buy": dict(book["bids"]), "sell": dict(book["asks"])} for name, book in books.items()
    }
    for message in stream.take(20_000):
        if message["type"] == "book":
            side = sides[message["symbol"]][message["side"]]
            if Decimal(message["quantity"]) == 0:
                side.pop(message["price"], None)
            else:
                side[message["price"]] = message["quantity"]
        if message["type"] == "quote":
            bids = sides[message["symbol"]]["buy"]
            assert message["bid"] == max(bids, key=Decimal)
            assert bids[message["bid"]] == message["bid_quantity"]
    for name in stream.symbols:
        book = stream.snapshot(name)
        assert sides[name] == {"buy": dict(book["bids"]), "sell": dict(book["asks"])}
    with pytest.raises(KeyError):
        stream.snapshot("NOSUCH")


def test_money_is_exact() -> None:
    fills = [
        message
        for message in WebSocketMessageGenerator(5, symbols=3).take(50_000)
        if message["type"] == "execution" and message["kind"] == "trade"
    ]
    assert len(fills) > 10
    for fill in fills:
        assert Decimal(fill["last_quantity"]) <= Decimal(fill["filled_quantity"]) <= Decimal(fill["quantity"])
        assert Decimal(fill["fee"]) >= 0 and fill["fee_asset"] == "USDT"


@pytest.mark.parametrize("venue", ["binance", "okx", "bybit", "coinbase", "kraken"])
def test_a_venue_s_stream_passes_its_check(venue: str, tmp_path: Path) -> None:
    lines = WebSocketMessageGenerator(1, symbols=10, venue=venue, messages="bytes").take(5000)
    assert all(json.loads(line) for line in lines)
    recorded = tmp_path / "stream.jsonl"
    recorded.write_bytes(b"\n".join(lines) + b"\n")
    report = check(recorded, venue=venue)
    assert report["stream"]["venue"] == venue and report["stream"]["lines"] == 5000
    assert report.faults == []
    with recorded.open("rb") as file:
        assert check(file, venue=venue) == report


def test_a_fault_is_found_and_located() -> None:
    lines = WebSocketMessageGenerator(1, symbols=1, messages="bytes").take(2000)
    books = [index for index, line in enumerate(lines) if b"depthUpdate" in line]
    del lines[books[100]]
    report = check(b"\n".join(lines) + b"\n")
    assert not report.passed
    assert report.faults[0]["line"] >= books[100]


def test_a_text_is_the_same_as_its_bytes() -> None:
    texts = WebSocketMessageGenerator(1, messages="str").take(100)
    assert [text.encode() for text in texts] == WebSocketMessageGenerator(1, messages="bytes").take(100)


def test_it_is_iterated_over_with_and_without_a_loop(run: Run) -> None:
    async def some(count: int) -> list[Any]:
        found = []
        async for message in WebSocketMessageGenerator(2):
            found.append(message)
            if len(found) == count:
                return found
        raise AssertionError("the stream is endless")

    assert run(some(2000)) == list(itertools.islice(WebSocketMessageGenerator(2), 2000))
    assert next(WebSocketMessageGenerator(2)) == next(iter(WebSocketMessageGenerator(2)))


def test_others_on_the_loop_have_their_turn(run: Run) -> None:
    async def main() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        count = 0
        async for _ in WebSocketMessageGenerator(2):
            count += 1
            if count == 5000:
                break
        task.cancel()
        return turns

    assert run(main()) > 10


def test_it_keeps_pace_if_asked_to(run: Run) -> None:
    async def main() -> float:
        started = time.monotonic()
        stream = WebSocketMessageGenerator(2, paced=True, settings={"arrivals": "paced"})
        count = 0
        async for _ in stream:
            count += 1
            if count == 300:
                return time.monotonic() - started
        raise AssertionError("the stream is endless")

    assert 0.29 < run(main()) < 1


def test_a_stream_with_a_duration_ends() -> None:
    stream = WebSocketMessageGenerator(settings={"duration": "2s", "arrivals": "paced"})
    assert len(list(stream)) == 2000
    assert stream.take(1) == []


def test_the_bytes_are_those_of_the_program() -> None:
    settings = ["--seed", "9", "--duration", "1s", "--base-rate", "500", "--multiplier", "1"]
    command = [sys.executable, "-m", "tickstorm", "generate", *settings]
    written = subprocess.run(command, check=True, capture_output=True).stdout
    stream = WebSocketMessageGenerator(
        9, messages="bytes", rate=500, settings={"duration": "1s", "arrivals": "bursty"}
    )
    # The program puts the listing and the books before them.
    messages = list(stream)
    assert len(messages) == 500
    assert written.splitlines()[-500:] == messages
