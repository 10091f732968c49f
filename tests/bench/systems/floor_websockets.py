"""A floor: PCMU passed through by hand with `websockets` and uvloop, messages made of templates."""

import asyncio
import json

import uvloop
from host import arguments
from openai_session import model_url, session_update
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

APPEND = b'{"type":"input_audio_buffer.append","audio":"%s"}'
PLAY = b'{"eventType":"playAudio","media":{"contentType":"audio/pcmu","payload":"%s"}}'

told = arguments()


async def media(carrier: ServerConnection) -> None:
    start = json.loads(await carrier.recv())
    headers = {"Authorization": "Bearer key"}
    async with connect(model_url(told.model), additional_headers=headers, compression=None) as model:
        await model.send(session_update(start["metadata"]["callId"]))
        to_carrier = asyncio.create_task(pass_bot(model, carrier))
        await pass_caller(carrier, model)
        to_carrier.cancel()


async def pass_caller(carrier: ServerConnection, model: ClientConnection) -> None:
    try:
        while True:
            message = await carrier.recv(decode=False)
            begins = message.find(b'"payload":"') + 11
            if begins > 10:
                await model.send(APPEND % message[begins : message.find(b'"', begins)], text=True)
    except ConnectionClosed:
        return


async def pass_bot(model: ClientConnection, carrier: ServerConnection) -> None:
    try:
        while True:
            event = await model.recv(decode=False)
            if event.startswith(b'{"type":"response.output_audio.delta"'):
                begins = event.find(b'"delta":"') + 9
                await carrier.send(PLAY % event[begins : event.find(b'"', begins)], text=True)
            elif event.startswith(b'{"type":"input_audio_buffer.speech_started"'):
                await carrier.send(b'{"eventType":"clear"}', text=True)
    except ConnectionClosed:
        return


async def main() -> None:
    async with serve(media, "127.0.0.1", told.port, compression=None) as server:
        await server.serve_forever()


uvloop.run(main())
