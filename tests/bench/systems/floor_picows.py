"""The fastest floor: PCMU passed through by hand in picows' own callbacks, messages made of templates."""

import asyncio
import json

import picows
import uvloop
from host import arguments
from openai_session import model_url, session_update

APPEND = b'{"type":"input_audio_buffer.append","audio":"%s"}'
PLAY = b'{"eventType":"playAudio","media":{"contentType":"audio/pcmu","payload":"%s"}}'
TEXT = picows.WSMsgType.TEXT

told = arguments()


class ModelLeg(picows.WSListener):
    def __init__(self, carrier: picows.WSTransport) -> None:
        self.carrier = carrier

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            return
        event = frame.get_payload_as_bytes()
        if event.startswith(b'{"type":"response.output_audio.delta"'):
            begins = event.find(b'"delta":"') + 9
            self.carrier.send(TEXT, PLAY % event[begins : event.find(b'"', begins)])
        elif event.startswith(b'{"type":"input_audio_buffer.speech_started"'):
            self.carrier.send(TEXT, b'{"eventType":"clear"}')

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.carrier.disconnect()


class CarrierLeg(picows.WSListener):
    def __init__(self) -> None:
        self.model: picows.WSTransport | None = None
        self.connecting: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            return
        message = frame.get_payload_as_bytes()
        begins = message.find(b'"payload":"') + 11
        if begins > 10:
            if self.model is not None:
                self.model.send(TEXT, APPEND % message[begins : message.find(b'"', begins)])
        elif self.connecting is None:
            call_id = json.loads(message)["metadata"]["callId"]
            self.connecting = asyncio.create_task(self.connect(transport, call_id))

    async def connect(self, carrier: picows.WSTransport, call_id: str) -> None:
        headers = {"Authorization": "Bearer key"}
        self.model, _ = await picows.ws_connect(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
            lambda: ModelLeg(carrier), model_url(told.model), extra_headers=headers
        )
        self.model.send(TEXT, session_update(call_id))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if self.model is not None:
            self.model.disconnect()


async def main() -> None:
    server = await picows.ws_create_server(  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
        lambda _request: CarrierLeg(), "127.0.0.1", told.port
    )
    await server.serve_forever()


uvloop.run(main())
