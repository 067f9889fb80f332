#!/usr/bin/env python3
"""A WebSocket server of independent make, for tests of what tickstorm does to a foreign target.

It listens on loopback, prints its port alone on the first line of standard output, and echoes each text
message, so that the n-th reply answers the n-th message of a connection. Options make it misbehave.

With --counts FILE every message received becomes one line, `CONNECTION ORDINAL BYTES`, appended before the
message is answered. Each line is one write to the kernel, so that the file is true even after SIGKILL: it
never has fewer lines than replies were sent. A restarted server goes on in the same file. In the mode
--byte-sink a line stands for one read from the socket.

With --record FILE every message becomes a line, `CONNECTION MESSAGE`, in the order of arrival; the file is
complete once the connections are closed.
"""

from __future__ import annotations

import argparse
import asyncio
import http
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

HUGE_BYTES = 64 * 1024 * 1024
GARBAGE = "\u0000}{nonsense]["
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
READ_BYTES = 256 * 1024
# So that a server that stops reading is felt soon, not after megabytes in the kernel.
STALLING_BUFFER_BYTES = 16 * 1024

# What a message is answered with: any number of messages.
Answer = Callable[["str | bytes"], "list[str | bytes]"]


class Counts:
    """The file in which every message received is a line; nothing is written without one."""

    def __init__(self, path: str | None) -> None:
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def received(self, connection: int, ordinal: int, size: int) -> None:
        if self._file is not None:
            os.write(self._file, f"{connection} {ordinal} {size}\n".encode())


class Record:
    """The file in which every message received is kept; nothing is written without one."""

    def __init__(self, path: str | None) -> None:
        self._file = open(path, "a", encoding="utf-8") if path is not None else None

    def received(self, connection: int, message: str | bytes) -> None:
        if self._file is not None:
            text = message if isinstance(message, str) else message.decode()
            self._file.write(f"{connection} {text}\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()


@dataclass
class Stall:
    """A pause in reading, once a connection."""

    after: int | None
    for_s: float

    async def at(self, ordinal: int) -> None:
        if ordinal == self.after:
            await asyncio.sleep(self.for_s)


@dataclass
class Peer:
    """One server; `answer` gives the replies to a message."""

    answer: Answer
    delay_s: float
    close_after: int | None
    abort: bool
    stall: Stall
    counts: Counts
    record: Record
    connections: int = field(default=0)

    def next_connection(self) -> int:
        number = self.connections
        self.connections += 1
        return number

    async def serve_connection(self, connection: ServerConnection) -> None:
        number = self.next_connection()
        replies: asyncio.Queue[tuple[float, str | bytes]] = asyncio.Queue()
        # Without a delay the reader answers by itself; with one, it must read on while replies wait.
        writer = asyncio.create_task(send_when_due(connection, replies)) if self.delay_s > 0 else None
        try:
            if self.close_after == 0:
                await self.hang_up(connection)
                return
            ordinal = 0
            async for message in connection:
                self.counts.received(number, ordinal, len(message))
                self.record.received(number, message)
                ordinal += 1
                for reply in self.answer(message):
                    if writer is None:
                        await connection.send(reply)
                    else:
                        replies.put_nowait((asyncio.get_running_loop().time() + self.delay_s, reply))
                await self.stall.at(ordinal)
                if self.close_after is not None and ordinal >= self.close_after:
                    await self.hang_up(connection)
                    return
        except ConnectionClosed:
            pass
        finally:
            self.record.flush()
            if writer is not None:
                writer.cancel()

    async def hang_up(self, connection: ServerConnection) -> None:
        if self.abort:
            connection.transport.abort()
        else:
            await connection.close(1001, "going away")

    async def sink_bytes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.next_connection()
        ordinal = 0
        try:
            while data := await reader.read(READ_BYTES):
                self.counts.received(number, ordinal, len(data))
                ordinal += 1
        except ConnectionError:
            pass
        finally:
            writer.close()


async def send_when_due(
    connection: ServerConnection, replies: asyncio.Queue[tuple[float, str | bytes]]
) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due, reply = await replies.get()
        await asyncio.sleep(max(0.0, due - clock()))
        try:
            await connection.send(reply)
        except ConnectionClosed:
            return


def refuse(connection: ServerConnection, _request: Request) -> Response:
    return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "closed for maintenance\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 chooses one (default)")
    parser.add_argument("--counts", metavar="FILE", help="append a line for every message received")
    parser.add_argument("--delay", type=non_negative, default=0.0, metavar="SECONDS", help="reply this late")
    parser.add_argument("--close-after", type=int, metavar="N", help="close after N messages on a connection")
    parser.add_argument("--abort", action="store_true", help="close without a close frame, by a reset")
    parser.add_argument("--stall-after", type=int, metavar="N", help="stop reading after N messages")
    parser.add_argument(
        "--stall-for", type=non_negative, default=1.0, metavar="SECONDS", help="length of the stop (default 1)"
    )
    parser.add_argument("--record", metavar="FILE", help="append every message received")
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="stop when standard input ends: the parent died"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--garbage", action="store_true", help="answer each message with nonsense")
    mode.add_argument("--never-reply", action="store_true", help="read every message, answer none")
    mode.add_argument(
        "--ack-field",
        metavar="NAME",
        help='answer each message, or each of an array, with {NAME: its own NAME}',
    )
    mode.add_argument("--huge", action="store_true", help="answer each message with one frame of 64 MiB")
    mode.add_argument("--refuse", action="store_true", help="answer the handshake with 503")
    mode.add_argument("--byte-sink", action="store_true", help="plain TCP: read all, answer nothing")
    return parser.parse_args()


def non_negative(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be zero or more, got {text}")
    return value


def answer_of(options: argparse.Namespace) -> Answer:
    if options.garbage:
        return lambda _message: [GARBAGE]
    if options.never_reply:
        return lambda _message: []
    if options.ack_field is not None:
        return lambda message: acks(message, options.ack_field)
    if options.huge:
        huge = "x" * HUGE_BYTES
        return lambda _message: [huge]
    return lambda message: [message]


def acks(message: str | bytes, name: str) -> list[str | bytes]:
    value = json.loads(message)
    return [json.dumps({name: one[name]}) for one in (value if isinstance(value, list) else [value])]


def listening_socket(options: argparse.Namespace) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.stall_after is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLING_BUFFER_BYTES)
    listener.bind(("127.0.0.1", options.port))
    return listener


async def until_told(exit_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_stdin:
        loop.add_reader(sys.stdin.fileno(), stop_at_end, sys.stdin.fileno(), stop)
    await stop.wait()


def stop_at_end(file: int, stop: asyncio.Event) -> None:
    if not os.read(file, 4096):
        stop.set()


def announce(port: int) -> None:
    print(port, flush=True)


async def main(options: argparse.Namespace) -> None:
    peer = Peer(
        answer=answer_of(options),
        delay_s=options.delay,
        close_after=options.close_after,
        abort=options.abort,
        stall=Stall(options.stall_after, options.stall_for),
        counts=Counts(options.counts),
        record=Record(options.record),
    )
    told: Awaitable[None] = until_told(options.exit_with_stdin)
    if options.byte_sink:
        sink = await asyncio.start_server(peer.sink_bytes, sock=listening_socket(options))
        announce(sink.sockets[0].getsockname()[1])
        await told
        sink.close()
        return
    async with serve(
        peer.serve_connection,
        sock=listening_socket(options),
        process_request=refuse if options.refuse else None,
        max_size=MAX_MESSAGE_BYTES,
    ) as server:
        announce(next(iter(server.sockets)).getsockname()[1])
        await told


if __name__ == "__main__":
    asyncio.run(main(arguments()))
