"""The mock exchange: clients of the same process, opening and leaving, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

import ccxt
import ccxt.pro
import pytest
import websockets
from conftest import Run

from tickstorm import AlreadyRunning, LoadProfile, MockExchange, Report, RunError, SettingError
from tickstorm.pytest_plugin import MockExchanges


def pointed_at(client: Any, exchange: MockExchange, venue: str) -> Any:
    """A ccxt client all of whose addresses are those of the exchange."""

    def moved(address: Any) -> Any:
        if isinstance(address, dict):
            return {name: moved(each) for name, each in address.items()}
        parts = urlsplit(address)
        url = exchange.ws_url if parts.scheme in ("ws", "wss") else exchange.rest_url
        return url(venue, parts.path)

    client.urls["api"] = moved(client.urls["api"])
    return client


@pytest.mark.parametrize("venue", ["binance", "bybit", "coinbase", "kraken", "okx"])
def test_ccxt_keeps_books_that_are_not_crossed(mock_exchange: MockExchanges, venue: str) -> None:
    updates = 0

    async def follow(client: Any, symbol: str) -> None:
        nonlocal updates
        while True:
            book = await client.watch_order_book(symbol)
            (bid, *_), (ask, *_) = book["bids"][0], book["asks"][0]
            assert bid < ask, f"{symbol} is crossed: {bid} is bid, {ask} asked"
            updates += 1

    async def main() -> Report:
        exchange = mock_exchange(
            symbols=3, multiplier=3, duration_seconds=3, wait_for_seconds=60, silence_seconds=1, settings=PATIENT
        )
        async with exchange:
            options = {"fetchMarkets": {"types": ["spot"]}} if venue == "binance" else {}
            client = pointed_at(getattr(ccxt.pro, venue)({"options": options}), exchange, venue)
            await client.load_markets()
            follower = asyncio.create_task(follow(client, client.symbols[0]))
            try:
                report = await exchange.finished()
                # An exchange that is over goes away, which OKX announces, and that is all that the client may have met with.
                await asyncio.wait([follower], timeout=10)
                with pytest.raises(ccxt.NetworkError, match="64008" if venue == "okx" else "closing code 1001"):
                    follower.result()
                return report
            finally:
                follower.cancel()
                await asyncio.wait([follower])
                await client.close()

    report = asyncio.run(main())
    assert report.verdict == "PASS", report.summary()
    clients = report["served"]["clients"]
    assert len(clients) >= 1 and {client["venue"] for client in clients} == {venue}
    assert [client["ended"] for client in clients] == [None] * len(clients)
    assert report["messages_processed"] == report["total_messages"] > 0
    assert updates >= 5


async def read(url: str, subscription: dict[str, Any], **options: Any) -> int:
    """Reads until it is cancelled or the other end closes."""
    frames = 0
    async with websockets.connect(url, **options) as socket:
        await socket.send(json.dumps(subscription))
        async for _ in socket:
            frames += 1
    return frames


#: A busy machine makes the exchange late, which is no fault of a client's.
PATIENT = {"max_pacing_lag": "10s"}

TRADES = {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@depth@100ms"], "id": 1}


def quick(**options: Any) -> MockExchange:
    """An exchange that does not watch its clients before and after."""
    settings = {"symbols": 2, "silence_seconds": 0, "duration_seconds": 0.5, "wait_for_seconds": 30}
    return MockExchange(**settings | {"settings": PATIENT} | options)


def test_a_client_of_the_same_loop_is_told_everything(run: Run) -> None:
    async def main() -> tuple[Report, int]:
        async with quick(cadence="realtime") as exchange:
            client = asyncio.create_task(read(exchange.ws_url("binance"), TRADES))
            report = await exchange.finished()
            # The exchange closes its connections at its end.
            frames = await asyncio.wait_for(client, 10)
            assert exchange.report == report and exchange.metrics.is_finished
        assert not exchange.running
        return report, frames

    report, frames = run(main())
    assert report.passed, report.summary()
    (client,) = report["served"]["clients"]
    assert report["messages_processed"] == report["total_messages"] > 0
    assert client["owed"] == client["delivered"] + client["folded"]
    assert frames >= client["traffic"]["frames"] > 0


def test_a_client_of_the_same_process_is_seen_to_rest(run: Run) -> None:
    async def main() -> Report:
        async with quick(silence_seconds=30, cadence="realtime") as exchange:
            client = asyncio.create_task(read(exchange.ws_url("binance"), TRADES))
            report = await exchange.finished()
            await client
        return report

    (client,) = run(main())["served"]["clients"]
    assert client["process"]["pid"] == os.getpid()
    assert client["last"]["basis"] == "exact", client["last"]["text"]


def test_tls_is_vouched_for_by_an_authority_of_its_own(run: Run) -> None:
    async def main() -> Report:
        async with quick(tls=["exchange.test"]) as exchange:
            pem = exchange.ca_pem
            assert pem is not None and pem.startswith("-----BEGIN CERTIFICATE-----")
            trusting = ssl.create_default_context(cadata=pem)
            url = exchange.ws_url("binance", "ws")
            assert url == f"wss://{exchange.address}/binance/ws"
            client = asyncio.create_task(read(url, TRADES, ssl=trusting, server_hostname="exchange.test"))
            with pytest.raises(ssl.SSLCertVerificationError):
                await read(url, TRADES)
            report = await exchange.finished()
            await client
        return report

    report = run(main())
    (client,) = report["served"]["clients"]
    assert client["tls"] is True


def test_requests_are_answered_while_the_loop_waits_for_clients(run: Run) -> None:
    async def main() -> None:
        async with quick() as exchange:
            url = exchange.rest_url("okx", "/api/v5/public/time")
            with await asyncio.to_thread(urllib.request.urlopen, url, timeout=10) as answer:
                assert json.load(answer)["code"] == "0"
            assert exchange.rest_url("okx") == f"http://{exchange.address}/okx"
            assert exchange.ca_pem is None and exchange.clients_that_came == 0
            assert exchange.metrics.total_messages == 0

    run(main())


def test_leaving_stops_a_run_and_leaves_its_report(run: Run) -> None:
    async def main() -> Report:
        async with quick(duration_seconds=600) as exchange:
            client = asyncio.create_task(read(exchange.ws_url("binance"), TRADES))
            while exchange.metrics.total_messages == 0:
                await asyncio.sleep(0.01)
        await client
        return exchange.report

    began = time.monotonic()
    report = run(main())
    assert time.monotonic() - began < 60
    assert report["stopped"]["reason"] == "requested" and report["total_messages"] > 0


def test_an_exception_in_the_block_ends_it_at_once_and_passes(run: Run) -> None:
    async def main() -> None:
        async with quick(duration_seconds=600, clients=0):
            raise LookupError("in the block")

    with pytest.raises(LookupError, match="in the block"):
        run(main())


def test_a_cancelled_block_ends(run: Run) -> None:
    async def main() -> None:
        async with quick() as exchange:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(0.05, task.cancel)
            await exchange.finished()

    with pytest.raises(asyncio.CancelledError):
        run(main())


def test_clients_that_do_not_come(run: Run) -> None:
    async def main() -> MockExchange:
        async with quick(clients=2, wait_for_seconds=0.1) as exchange:
            with pytest.raises(RunError, match="0 of 2 clients came"):
                await exchange.finished()
        return exchange

    exchange = run(main())
    with pytest.raises(RunError, match="0 of 2 clients came"):
        exchange.report


def test_stopping_ends_the_waiting(run: Run) -> None:
    async def main() -> None:
        async with quick(wait_for_seconds=None) as exchange:
            with pytest.raises(RunError, match="no report yet"):
                exchange.report
            exchange.stop()
            with pytest.raises(RunError, match="stopped before 1 clients had come"):
                await exchange.finished()

    run(main())


def test_it_opens_again_but_not_twice_at_once(run: Run) -> None:
    async def main() -> list[int]:
        totals = []
        exchange = quick(clients=0)
        for _ in range(2):
            async with exchange:
                with pytest.raises(AlreadyRunning):
                    await exchange.__aenter__()
                totals.append((await exchange.finished())["served"]["market_messages"])
        return totals

    first, second = run(main())
    assert first == second == 500


def test_an_address_that_is_taken(run: Run) -> None:
    async def main() -> None:
        async with quick() as exchange:
            with pytest.raises(RunError, match="cannot open the exchange"):
                async with quick(listen=exchange.address):
                    raise AssertionError("two listen on one port")

    run(main())


def test_before_it_was_opened() -> None:
    exchange = MockExchange(multiplier=2.5, profile=LoadProfile.SPIKE)
    assert repr(exchange) == "<MockExchange at 100/s, closed>"
    assert exchange.settings()["multiplier"] == "2.5x" and not exchange.running
    exchange.stop()
    exchange.abort()
    for use in (lambda: exchange.address, lambda: exchange.report, lambda: exchange.ws_url("okx")):
        with pytest.raises(RunError, match="async with"):
            cast(Callable[[], object], use)()
    with pytest.raises(SettingError, match=r"venue must be one of .*'kraken'.*, got 'nasdaq'"):
        exchange.rest_url("nasdaq")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": 0}, ["symbols", "0", "10000"]),
        ({"base_rate": -1}, ["base_rate", "-1"]),
        ({"multiplier": 0}, ["multiplier", "0", "above zero"]),
        ({"duration_seconds": 0}, ["duration_seconds", "0"]),
        ({"profile": "STORM"}, ["profile", "STORM", "SPIKE"]),
        ({"cadence": "daily"}, ["cadence", "'daily'", "'venue', 'realtime'"]),
        ({"clients": -1}, ["clients", "-1", "from 0"]),
        ({"wait_for_seconds": -1}, ["wait_for_seconds", "-1", "negative"]),
        ({"listen": "here"}, ["listen", "here", "127.0.0.1:9443"]),
        ({"slow_client": "wait"}, ["slow_client", "'wait'", "'conflate'"]),
        ({"client_queue_bytes": 10}, ["client_queue_bytes", "10", "65536"]),
        ({"limits": "lax"}, ["limits", "'lax'", "'strict'"]),
        ({"venue_options": {"kraken.colour": "red"}}, ["venue_options['kraken.colour']", "kraken.colour"]),
        ({"api_keys": ["nasdaq:K:S3CRET"]}, ["api_keys[0]", "one of: binance, coinbase"]),
        ({"api_keys": ["K:S3CRET:P"]}, ["api_keys[0]", "one of: binance, coinbase"]),
        ({"api_keys": ["S3CRET:K:P"]}, ["api_keys[0]", "one of: binance, coinbase"]),
        ({"tls": []}, ["tls", "at least one host name"]),
        ({"api_keys": ["okx:K:S3CRET:P@", "x"]}, ["api_keys[0]", "@"]),
        ({"thresholds": ["age<old"]}, ["thresholds", "age<old"]),
        ({"settings": {"connections": 3}}, ["settings['connections']", "connects to nobody"]),
        ({"settings": {"speed": 3}}, ["settings['speed']", "no such setting"]),
    ],
)
def test_wrong_values(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        MockExchange(**options)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": "3"}, ["symbols", "'3'", "a whole number"]),
        ({"clients": 1.5}, ["clients", "1.5"]),
        ({"listen": 9443}, ["listen", "9443", "text"]),
        ({"listen_public": 1}, ["listen_public", "1", "a bool"]),
        ({"tls": "localhost"}, ["tls", "'localhost'", "['stream.binance.com']"]),
        ({"tls": 1}, ["tls", "1"]),
        ({"ping_probes": "on"}, ["ping_probes", "'on'", "a bool"]),
        ({"api_keys": "okx:K:S3CRET"}, ["api_keys", "['binance:KEY:SECRET']"]),
        ({"api_keys": None}, ["api_keys", "several texts", "NoneType"]),
        ({"api_keys": [b"okx:K:S3CRET"]}, ["api_keys[0]", "bytes"]),
        ({"venue_options": ["a=b"]}, ["venue_options", "mapping"]),
        ({"thresholds": "age<1s"}, ["thresholds", "'age<1s'"]),
    ],
)
def test_wrong_types(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        MockExchange(**options)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert "S3CRET" not in str(caught.value)


def test_an_interpreter_that_ends_inside_the_block_ends() -> None:
    program = """
import asyncio, tickstorm

async def main():
    exchange = tickstorm.MockExchange(clients=3)
    await exchange.__aenter__()
    print(exchange.address)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("127.0.0.1:"), done.stderr
