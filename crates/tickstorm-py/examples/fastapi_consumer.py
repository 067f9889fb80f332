"""A FastAPI application that takes messages on a WebSocket and over HTTP's sibling in the same process: what is stormed is
the real thing, uvicorn and routing included."""

import asyncio

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from tickstorm import LoadGenerator

app = FastAPI()
app.state.seen = 0


@app.websocket("/feed")
async def feed(websocket: WebSocket) -> None:
    await websocket.accept()
    count = 0
    try:
        while True:
            await websocket.receive_json()
            app.state.seen += 1
            await websocket.send_json({"ack": count})
            count += 1
    except WebSocketDisconnect:
        pass


async def main(seconds: float = 10) -> None:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    # Four connections share the symbols; a symbol stays on one of them.
    generator = LoadGenerator(f"ws://127.0.0.1:{port}/feed", settings={"ack": "id", "connections": 4})
    report = await generator.run_load_test(seconds, multiplier=5)
    server.should_exit = True
    await serving
    print(report.summary())
    print(f"the application saw {app.state.seen} messages")


if __name__ == "__main__":
    asyncio.run(main())
