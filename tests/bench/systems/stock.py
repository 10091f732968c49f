"""Stock pipecat as documented: pipecat-bandwidth's serializer, OpenAI Realtime at 24 kHz.

The variant is `plain`, or `recorder` for a recorder and two processors that pass everything on. An install of
pipecat brings no uvloop; the variant `uvloop` is the plain one on uvloop, because other packages may bring it.
"""

import importlib
import json
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from host import arguments
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import Frame, LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.events import AudioConfiguration, AudioInput, SessionProperties
from pipecat.services.openai.realtime.events import InputAudioTranscription as Transcription
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner

pipecat_bandwidth: Any = importlib.import_module("pipecat_bandwidth")  # only installed by `make bench`

told = arguments()
app = FastAPI()


class PassThrough(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


async def book_table(params: FunctionCallParams) -> None:
    await params.result_callback({"booked": "yes"})


def serializer(stream_id: str) -> Any:
    params = pipecat_bandwidth.BandwidthFrameSerializer.InputParams(auto_hang_up=False)
    return pipecat_bandwidth.BandwidthFrameSerializer(stream_id=stream_id, params=params)


def service(call_id: str) -> OpenAIRealtimeLLMService:
    heard = AudioConfiguration(input=AudioInput(transcription=Transcription()))
    llm = OpenAIRealtimeLLMService(
        api_key="key",
        base_url=f"{told.model}/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            system_instruction=f"You answer call {call_id}.", session_properties=SessionProperties(audio=heard)
        ),
    )
    llm.register_function("book_table", book_table)
    return llm


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    await websocket.accept()
    start = json.loads(await websocket.receive_text())["metadata"]
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=serializer(start["streamId"])
        ),
    )
    book = FunctionSchema("book_table", "Book a table for today.", {"name": {"type": "string"}}, ["name"])
    user, assistant = LLMContextAggregatorPair(
        LLMContext([], ToolsSchema(standard_tools=[book])),
        # The model finds the turns; without saying so, each call would load a turn model it never uses.
        user_params=LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies()),
    )
    recorder = AudioBufferProcessor(num_channels=2)
    extra: list[FrameProcessor] = [] if told.variant != "recorder" else [PassThrough(), PassThrough(), recorder]
    llm = service(start["callId"])
    pipeline = Pipeline([transport.input(), user, llm, transport.output(), *extra, assistant])
    params = PipelineParams(
        audio_in_sample_rate=8000, audio_out_sample_rate=8000, enable_metrics=True, enable_usage_metrics=True
    )
    worker = PipelineWorker(pipeline, params=params)

    @transport.event_handler("on_client_connected")
    async def connected(*_: object) -> None:
        await worker.queue_frames([LLMRunFrame()])
        if recorder in extra:
            await recorder.start_recording()

    @transport.event_handler("on_client_disconnected")
    async def disconnected(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


uvicorn.run(
    app,
    host="127.0.0.1",
    port=told.port,
    log_level="warning",
    loop="uvloop" if told.variant == "uvloop" else "asyncio",
)
