"""A stranger: stock pipecat with pipecat-bandwidth and OpenAI Realtime, as their documentation has it.

Run as a process of its own, with the model's base URL; it prints the port it listens on.
"""

import json
import socket
import sys

import uvicorn
from fastapi import FastAPI, Response, WebSocket
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.openai.realtime.events import AudioConfiguration, AudioInput, SessionProperties
from pipecat.services.openai.realtime.events import InputAudioTranscription as Transcription
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from pipecat_bandwidth import BandwidthFrameSerializer  # pyright: ignore[reportMissingTypeStubs]

app = FastAPI()
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]


@app.post("/initiate")
async def initiate() -> Response:
    stream = f'<StartStream name="bot" mode="bidirectional" destination="ws://127.0.0.1:{port}/media"/>'
    return Response(f'<Response>{stream}<StopStream name="bot" wait="true"/></Response>', media_type="text/xml")


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    await websocket.accept()
    start = json.loads(await websocket.receive_text())["metadata"]
    serializer = BandwidthFrameSerializer(
        stream_id=start["streamId"], params=BandwidthFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    heard = AudioConfiguration(input=AudioInput(transcription=Transcription()))
    llm = OpenAIRealtimeLLMService(
        api_key="key",
        base_url=f"{sys.argv[1].replace('http', 'ws', 1)}/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            system_instruction="You answer the phone.", session_properties=SessionProperties(audio=heard)
        ),
    )
    user, assistant = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), user, llm, transport.output(), assistant]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )

    @transport.event_handler("on_client_connected")
    async def connected(*_: object) -> None:  # pyright: ignore[reportUnusedFunction]
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def disconnected(*_: object) -> None:  # pyright: ignore[reportUnusedFunction]
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


print(port, flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listener])
