"""The transport in a pipeline of stock pipecat processors, as a pipecat user writes one."""

import asyncio
import base64
import json
from typing import Any

from pipecat.frames.frames import EndFrame, Frame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from callpipe.transports.bandwidth import BandwidthTransport, receive_start
from callpipe.transports.call_events import MediaStoppedFrame
from callpipe.transports.frames import InputEncodedAudioFrame, OutputEncodedAudioFrame
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.virtual_time import run_virtual

START = '{"eventType":"start","metadata":{"accountId":1,"callId":"c","streamId":"s","streamName":"n"}}'


class Echo(FrameProcessor):
    """Answers every packet with itself, and the first also with PCM at pipecat's usual rate."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self.stopped: MediaStoppedFrame | None = None
        self._greeted = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputEncodedAudioFrame):
            if not self._greeted:
                self._greeted = True
                await self.push_frame(OutputAudioRawFrame(bytes(960), 24_000, 1))
            await self.push_frame(OutputEncodedAudioFrame(frame.encoded))
        else:
            self.stopped = frame if isinstance(frame, MediaStoppedFrame) else self.stopped
            await self.push_frame(frame, direction)


def media(number: int) -> str:
    payload = base64.b64encode(bytes([number]) * 160).decode()
    return json.dumps({"eventType": "media", "track": "inbound", "payload": payload, "sequenceNumber": number})


async def run_bot(socket: LoopbackSocket, events: list[str], echo: Echo) -> None:
    start = await receive_start(socket, deadline_s=5)
    transport = BandwidthTransport(socket, start, clock=asyncio.get_running_loop().time)
    aggregators = LLMContextAggregatorPair(LLMContext())
    worker = PipelineWorker(
        Pipeline(
            [
                transport.input(),
                IdentityFilter(),
                aggregators.user(),
                echo,
                transport.output(),
                AudioBufferProcessor(),
                aggregators.assistant(),
            ]
        ),
        params=PipelineParams(audio_in_sample_rate=8_000, audio_out_sample_rate=8_000),
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    @transport.event_handler("on_client_connected")
    async def connected(_transport: BaseTransport, client: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        events.append("connected" if client is socket else "connected with another")

    @transport.event_handler("on_client_disconnected")
    async def disconnected(_transport: BaseTransport, client: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        events.append("disconnected" if client is socket else "disconnected from another")
        await worker.queue_frame(EndFrame())

    await runner.run()


def test_a_call_runs_from_start_to_stop() -> None:
    async def scenario() -> None:
        ours, theirs = socket_pair()
        events: list[str] = []
        echo = Echo()
        theirs.send(START)
        bot = asyncio.create_task(run_bot(ours, events, echo))
        for number in range(1, 101):
            theirs.send(media(number))
            await asyncio.sleep(0.02)
        sent = [json.loads(message) for message in theirs._messages]  # pyright: ignore[reportPrivateUsage]
        pcm = [message for message in sent if "rate=24000" in message["media"]["contentType"]]
        echoed = [message for message in sent if message not in pcm]
        assert len(pcm) == 1
        assert [base64.b64decode(message["media"]["payload"])[0] for message in echoed] == list(range(1, 101))
        theirs.send('{"eventType":"stop","metadata":{}}')
        await asyncio.wait_for(bot, 5)
        assert events == ["connected", "disconnected"]
        assert echo.stopped is not None
        assert (echo.stopped.cause, echo.stopped.counts["packets"]) == ("stop", 100)

    run_virtual(scenario())
