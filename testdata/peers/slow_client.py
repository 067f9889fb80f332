#!/usr/bin/env python3
"""A WebSocket client that falls behind in a known way and keeps a record of it.

For tests of what tickstorm says about a client it knows nothing of. The client subscribes as Binance clients do,
works on each message that carries a stamp for --service, and prints one line of JSON once the server has closed
the connection:

    {"processed": 1500, "read_last_at_unix_ns": 1795420800103456789,
     "finished_last_at_unix_ns": 1795420800123456789, "lateness_of_last_ns": 123456789, "close_code": 1000}

Read is when the library handed the message over. The lateness is the time from the stamp, a member in Unix
milliseconds, to the end of the work. Modes:

    reads-slowly   one loop reads a message, works on it, reads the next
    own-queue      asyncio: one task reads at once into a queue, another one works
    two-threads    the same in two threads
    buffers        one thread reads bytes at once, another one makes messages of them and answers pings as it works
    pauses         reads nothing for --pause from the first message on, then keeps up
    spins          keeps up, and asks for more all the time instead of waiting
    healthy        keeps up
    noisy          keeps up, and does this and that of its own accord, as --noise adds to any mode
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import queue
import random
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection as SyncConnection
from websockets.sync.client import connect as connect_sync
from websockets.sync.client import unix_connect

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass
class Record:
    """What the client knows of itself."""

    stamp: re.Pattern[str]
    processed: int = 0
    read_last_at_unix_ns: int | None = None
    finished_last_at_unix_ns: int | None = None
    lateness_of_last_ns: int | None = None
    close_code: int | None = None

    def read(self, message: str | bytes) -> int | None:
        """The stamp in nanoseconds; None for what is no message of the market."""
        text = message if isinstance(message, str) else message.decode()
        found = self.stamp.search(text)
        # What a server says of itself has a time of its own.
        if found is None or "serverShutdown" in text:
            return None
        self.read_last_at_unix_ns = time.time_ns()
        return int(found.group(1)) * 1_000_000

    def finished(self, stamp_ns: int) -> None:
        now_ns = time.time_ns()
        self.processed += 1
        self.finished_last_at_unix_ns = now_ns
        self.lateness_of_last_ns = now_ns - stamp_ns

    def print(self) -> None:
        members = (
            "processed",
            "read_last_at_unix_ns",
            "finished_last_at_unix_ns",
            "lateness_of_last_ns",
            "close_code",
        )
        print(json.dumps({name: getattr(self, name) for name in members}), flush=True)


@dataclass
class Work:
    """What is done with a message."""

    kind: str
    seconds: float

    def do(self) -> None:
        if self.kind == "sleep":
            time.sleep(self.seconds)
        else:
            compute(self.seconds)

    async def do_async(self) -> None:
        if self.kind == "sleep":
            await asyncio.sleep(self.seconds)
        else:
            compute(self.seconds)
            # Or nothing would ever be read.
            await asyncio.sleep(0)


def compute(seconds: float) -> None:
    """Computes for this much time on a CPU, whoever else wants one."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def subscription(options: argparse.Namespace) -> str | None:
    if options.subscribe is None:
        return None
    return json.dumps({"method": "SUBSCRIBE", "params": options.subscribe.split(","), "id": 1})


def open_socket(options: argparse.Namespace) -> socket.socket:
    address = urlsplit(options.url)
    stream = socket.socket()
    if options.receive_buffer is not None:
        # Before it connects, or the window would be larger already.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    stream.connect((address.hostname, address.port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def open_sync(options: argparse.Namespace, stream: socket.socket | None = None) -> SyncConnection:
    # A stream of our own is no TCP socket.
    connect = connect_sync if stream is None else functools.partial(unix_connect, None)
    connection = connect(
        options.url,
        sock=stream or open_socket(options),
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        max_queue=options.max_queue,
        ping_interval=None,
    )
    options.connection = connection
    if (request := subscription(options)) is not None:
        connection.send(request)
    return connection


async def open_async(options: argparse.Namespace) -> ClientConnection:
    connection = await connect_async(
        options.url, compression=None, max_size=MAX_MESSAGE_BYTES, max_queue=options.max_queue, ping_interval=None
    )
    options.connection = connection
    if (request := subscription(options)) is not None:
        await connection.send(request)
    return connection


def read_slowly(options: argparse.Namespace, record: Record, work: Work) -> None:
    hold_little(options)
    with open_sync(options) as connection:
        for message in connection:
            if (stamp_ns := record.read(message)) is not None:
                work.do()
                record.finished(stamp_ns)


def hold_little(options: argparse.Namespace) -> None:
    """What waits does so where it was not read from, and not in the library."""
    options.max_queue = 1
    SyncConnection.recv_bufsize = 4096


def buffer(options: argparse.Namespace, record: Record, work: Work) -> None:
    hold_little(options)
    stream = open_socket(options)
    inside, outside = socket.socketpair()
    # As small as the system allows: what waits is to do so in one place.
    for end in (inside, outside):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        while chunk := stream.recv(65536):
            waiting.put(chunk)
        waiting.put(b"")

    def hand_over() -> None:
        while chunk := waiting.get():
            outside.sendall(chunk)
        outside.shutdown(socket.SHUT_WR)

    def answer() -> None:
        while chunk := outside.recv(65536):
            stream.sendall(chunk)

    for part in (read, hand_over, answer):
        threading.Thread(target=part, daemon=True).start()
    with open_sync(options, inside) as connection:
        for message in connection:
            if (stamp_ns := record.read(message)) is not None:
                work.do()
                record.finished(stamp_ns)


def pause(options: argparse.Namespace, record: Record) -> None:
    hold_little(options)
    has_paused = False
    with open_sync(options) as connection:
        for message in connection:
            if (stamp_ns := record.read(message)) is not None:
                if not has_paused:
                    time.sleep(options.pause)
                    has_paused = True
                record.finished(stamp_ns)


def two_threads(options: argparse.Namespace, record: Record, work: Work) -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()

    def worker() -> None:
        while True:
            stamp_ns = waiting.get()
            work.do()
            record.finished(stamp_ns)

    threading.Thread(target=worker, daemon=True).start()
    with open_sync(options) as connection:
        for message in connection:
            if (stamp_ns := record.read(message)) is not None:
                waiting.put(stamp_ns)


async def own_queue(options: argparse.Namespace, record: Record, work: Work) -> None:
    waiting: asyncio.Queue[int] = asyncio.Queue()

    async def worker() -> None:
        while True:
            stamp_ns = await waiting.get()
            await work.do_async()
            record.finished(stamp_ns)

    worker_task = asyncio.create_task(worker())
    heartbeat = asyncio.create_task(heartbeats()) if options.noise else None
    async with await open_async(options) as connection:
        async for message in connection:
            if (stamp_ns := record.read(message)) is not None:
                waiting.put_nowait(stamp_ns)
    for task in (worker_task, heartbeat):
        if task is not None:
            task.cancel()


async def keep_up(options: argparse.Namespace, record: Record) -> None:
    others = []
    if options.mode == "spins":
        others.append(asyncio.create_task(spin()))
    if options.noise:
        others.append(asyncio.create_task(heartbeats()))
    async with await open_async(options) as connection:
        try:
            while True:
                if (stamp_ns := record.read(await connection.recv())) is not None:
                    record.finished(stamp_ns)
        except ConnectionClosed:
            pass
    for task in others:
        task.cancel()


async def spin() -> None:
    while True:
        await asyncio.sleep(0)


async def heartbeats() -> None:
    while True:
        await asyncio.sleep(random.uniform(0.005, 0.05))


def make_noise() -> None:
    """Timers, a log, and something like a collector of garbage, each in a thread of its own."""

    def log() -> None:
        with open(os.devnull, "w", encoding="utf-8") as file:
            while True:
                time.sleep(0.1)
                print(f"{time.time()} still here", file=file, flush=True)

    def collect() -> None:
        while True:
            time.sleep(random.uniform(0.3, 0.8))
            compute(random.uniform(0.01, 0.03))

    def tick() -> None:
        while True:
            time.sleep(random.uniform(0.005, 0.02))

    for noise in (log, collect, tick):
        threading.Thread(target=noise, daemon=True).start()


def duration(text: str) -> float:
    """Seconds of a text like 250us, 1.5ms or 2s."""
    for unit, seconds in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * seconds
    raise argparse.ArgumentTypeError(f"must be a number with us, ms or s, got {text}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="ws://HOST:PORT/PATH")
    parser.add_argument("--mode", required=True, choices=MODES)
    parser.add_argument("--work", choices=("sleep", "cpu"), default="sleep", help="what work consists of")
    parser.add_argument("--service", type=duration, default=0.001, help="time a message (default 1ms)")
    parser.add_argument("--pause", type=duration, default=3.0, help="how long to read nothing (default 3s)")
    parser.add_argument("--receive-buffer", type=int, metavar="BYTES", help="size of the kernel's receive buffer")
    parser.add_argument("--noise", action="store_true", help="do this and that of its own accord as well")
    parser.add_argument("--subscribe", metavar="NAME,NAME", help="streams to subscribe to")
    parser.add_argument("--stamp", metavar="NAME", default="E", help="member with the time (default E)")
    options = parser.parse_args()
    options.max_queue = None
    options.connection = None
    options.noise |= options.mode == "noisy"
    return options


MODES = ("reads-slowly", "own-queue", "two-threads", "buffers", "pauses", "spins", "healthy", "noisy")


def main() -> None:
    options = arguments()
    record = Record(re.compile(rf'"{re.escape(options.stamp)}":\s*(\d+)'))
    work = Work(options.work, options.service)
    if options.noise:
        make_noise()
    try:
        if options.mode == "reads-slowly":
            read_slowly(options, record, work)
        elif options.mode == "two-threads":
            two_threads(options, record, work)
        elif options.mode == "buffers":
            buffer(options, record, work)
        elif options.mode == "pauses":
            pause(options, record)
        elif options.mode == "own-queue":
            asyncio.run(own_queue(options, record, work))
        else:
            asyncio.run(keep_up(options, record))
    except ConnectionClosed:
        pass
    if options.connection is not None:
        record.close_code = options.connection.close_code
    record.print()
    sys.stdout.flush()
    # Threads that work or make noise are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
