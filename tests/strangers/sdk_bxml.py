"""A stranger: a FastAPI application on bandwidth-sdk's own BXML, with a menu, and an echo on the media stream.

Run as a process of its own; it prints the port it listens on.
"""

import base64
import socket
from typing import Any, cast

import uvicorn
from bandwidth.models.bxml import (  # pyright: ignore[reportMissingTypeStubs]  it ships none
    Gather,
    Hangup,
    SpeakSentence,
    StartGather,
    StartStream,
    StopGather,
    StopStream,
)
from bandwidth.models.bxml import Response as Bxml  # pyright: ignore[reportMissingTypeStubs]  as above
from fastapi import FastAPI, Request, Response, WebSocket

app = FastAPI()
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
keys: list[str] = []


def answer(*verbs: Any) -> Response:
    return Response(Bxml(list(verbs)).to_bxml(), media_type="application/xml")


@app.post("/initiate")
async def initiate() -> Response:
    prompt = SpeakSentence("For the echo, press one, two and then the pound key.")
    return answer(Gather(gather_url="/menu", terminating_digits="#", max_digits=5, audio_verbs=[prompt]))


@app.post("/menu")
async def menu(request: Request) -> Response:
    if (await request.json())["digits"] != "12":
        return answer(SpeakSentence("Wrong."), Hangup())
    return answer(
        StartGather(dtmf_url="/key"),
        StartStream(
            destination=f"ws://127.0.0.1:{port}/media", name="echo", mode="bidirectional", tracks="inbound"
        ),
        StopStream("echo", wait=cast("Any", "true")),
        StopGather(),
        SpeakSentence("Bye."),
        Hangup(),
    )


@app.post("/key")
async def key(request: Request) -> Response:
    keys.append((await request.json())["digit"])
    return Response(status_code=204)


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_json():
        if keys == ["*"]:
            await websocket.close()
            return
        if message["eventType"] == "media" and set(base64.b64decode(message["payload"])) != {0xFF}:
            heard = {"contentType": "audio/pcmu", "payload": message["payload"]}
            await websocket.send_json({"eventType": "playAudio", "media": heard})


print(port, flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listener])
