"""A consumer behind a WebSocket, stormed as a server: the engine works without the interpreter, which is all the
consumer's."""

import asyncio
import json

from websockets.asyncio.server import ServerConnection, serve

from tickstorm import LoadGenerator, LoadProfile

best: dict[str, tuple[str, str]] = {}


async def consume(connection: ServerConnection) -> None:
    """Takes one message after the other, and says so: the n-th of a connection is acknowledged as `{"ack":n}`."""
    count = 0
    async for text in connection:
        message = json.loads(text)
        # Not all that Binance says has a type.
        if message.get("e") == "24hrTicker":
            best[message["s"]] = (message["b"], message["a"])
        await connection.send(json.dumps({"ack": count}))
        count += 1


async def main(seconds: float = 10) -> None:
    async with serve(consume, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        generator = LoadGenerator(f"ws://127.0.0.1:{port}/", settings={"ack": "id"})
        report = await generator.run_load_test(seconds, multiplier=10, profile=LoadProfile.SPIKE)
    print(report.summary())
    print(f"best prices of {len(best)} symbols")


if __name__ == "__main__":
    asyncio.run(main())
