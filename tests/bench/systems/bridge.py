"""A bare bridge in the style of the carrier's samples: FastAPI, websockets, json, PCMU passed through."""

import asyncio
import json

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from host import arguments
from openai_session import model_url, session_update
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

told = arguments()
app = FastAPI()


@app.websocket("/media")
async def media(carrier: WebSocket) -> None:
    await carrier.accept()
    start = json.loads(await carrier.receive_text())
    headers = {"Authorization": "Bearer key"}
    async with connect(model_url(told.model), additional_headers=headers) as model:
        await model.send(session_update(start["metadata"]["callId"]))
        to_model = asyncio.create_task(pass_caller(carrier, model))
        to_carrier = asyncio.create_task(pass_bot(model, carrier))
        await asyncio.wait({to_model, to_carrier}, return_when=asyncio.FIRST_COMPLETED)
        to_model.cancel()
        to_carrier.cancel()


async def pass_caller(carrier: WebSocket, model: ClientConnection) -> None:
    try:
        while True:
            message = json.loads(await carrier.receive_text())
            if message["eventType"] == "media":
                event = {"type": "input_audio_buffer.append", "audio": message["payload"]}
                await model.send(json.dumps(event))
    except (WebSocketDisconnect, ConnectionClosed):
        return


async def pass_bot(model: ClientConnection, carrier: WebSocket) -> None:
    try:
        async for message in model:
            event = json.loads(message)
            if event["type"] == "response.output_audio.delta":
                media = {"contentType": "audio/pcmu", "payload": event["delta"]}
                await carrier.send_text(json.dumps({"eventType": "playAudio", "media": media}))
            elif event["type"] == "input_audio_buffer.speech_started":
                await carrier.send_text(json.dumps({"eventType": "clear"}))
    except (WebSocketDisconnect, ConnectionClosed):
        return


uvicorn.run(app, host="127.0.0.1", port=told.port, log_level="warning")
