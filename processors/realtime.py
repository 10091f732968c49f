"""The realtime model as a processor: caller audio in, the bot's speech, tool calls and events out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    EndWorkerFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    MetricsFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.utils.time import time_now_iso8601

from callpipe.transports import websocket
from callpipe.transports.audio.formats import PCMU_8K, Tracks
from callpipe.transports.call_events import (
    CallerTurnFrame,
    MediaStartedFrame,
    MediaStoppedFrame,
    ModelFaultFrame,
    TurnLatencyFrame,
)
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import (
    ClearPlayoutFrame,
    EncodedAudio,
    InputEncodedAudioFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
    PlayoutFinishedFrame,
    PlayoutStartedFrame,
    ToolResultFrame,
)
from callpipe.transports.lane import UPSTREAM, MediaProcessor, Rest
from callpipe.transports.realtime import happenings
from callpipe.transports.realtime.endpoints import PROCESS_BREAKERS, Breakers, Choice, RealtimeEndpoint
from callpipe.transports.realtime.events import ToolSchema
from callpipe.transports.realtime.happenings import Happening
from callpipe.transports.realtime.models import warn_of_shutdown
from callpipe.transports.realtime.pace import PROCESS_PACES, Paces
from callpipe.transports.realtime.session import RealtimeSession
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.restored import Restored
from callpipe.transports.steering import ChangeFrame, SteeringFrame, ToolsChangedFrame
from callpipe.transports.websocket import Connect

from .errors import (
    ModelLostError,
    ProcessorsError,
    SessionFailedError,
)
from .model_conversation import ModelConversation
from .model_dialer import Dialer
from .model_frames import CallerTranscriptionFrame, bot_audio, frame_of, pcm
from .model_link import ROLLOVER_AFTER_S, ModelLink
from .prerecorded import prerecorded

CLEANUP_DEADLINE_S = 1.0

SORRY_ONE_MOMENT = Path(__file__).with_name("sorry_one_moment.wav").read_bytes()
"""The words of its name in English, 1 s, by a neutral voice (hibari-tts)."""


class RealtimeLLM(MediaProcessor):
    """Holds a session with a realtime model and joins it to the pipeline.

    The session is opened while the pipeline is set up; when the call has a `Restored` conversation as its
    ``restored``, the session is told that, and goes on with it instead of greeting. The caller's audio ends
    here; the bot's begins here, with the model's item id as its `context_id`. A session that is lost is
    followed by another that is told the conversation, and one that would expire is left for another in time;
    a `ModelFaultFrame` tells of each loss and of each attempt that failed. When no session can be had, an
    ErrorFrame makes this processor unusable: a worker with ``ProcessorUnusablePolicy.END`` ends the call then.

    Args:
        settings: What the session is set up with.
        tools: What the model may call; put a `ToolRouter` behind this processor to run them.
        api_key: The API's key. It is sent in the handshake and nowhere else.
        base_url: The API's address, http(s) or ws(s), without ``/realtime``.
        greeting: What the bot says first; None lets the caller begin.
        greeting_audio: The greeting's words as audio, in the session's format (`prerecorded`): they are heard
            without the model, which is told that the bot has said them.
        endpoints: Where else the model is reached, in the order in which they are tried.
        holding_phrase: Audio that the caller hears whenever they would hear nothing for more than 0.8 s
            because a session was lost or an answer failed; in the session's format. The model does not know of
            it. None leaves the silence.
        resuming_phrase: What the caller hears at once when a call goes on in another media stream; a recording
            as `prerecorded` takes it. The default is English ("Sorry, one moment."); None is silence.
        rollover_after_s: How long a session lasts until another is opened beside it.
        breakers: Which endpoints rest; None for those that all calls of this process share.
        paces: How fast voices speak; None for what all calls of this process have heard.
        connect: Opens the socket.
        clock: Monotonic seconds, the call's clock.

    Raises:
        FormatMismatchError: The greeting's audio, or the holding phrase, has another format than the session.
        ValueError: The greeting's audio comes without its words.
    """

    def __init__(
        self,
        *,
        settings: RealtimeSettings,
        tools: Sequence[ToolSchema] = (),
        api_key: str,
        base_url: str = "https://api.openai.com/v1",
        greeting: str | None = None,
        greeting_audio: EncodedAudio | None = None,
        endpoints: Sequence[RealtimeEndpoint] = (),
        holding_phrase: EncodedAudio | None = None,
        resuming_phrase: Path | str | bytes | None = SORRY_ONE_MOMENT,
        rollover_after_s: float = ROLLOVER_AFTER_S,
        breakers: Breakers | None = None,
        paces: Paces | None = None,
        connect: Connect = websocket.connect,
        clock: Callable[[], float] = time.monotonic,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        for model in settings.models:
            warn_of_shutdown(model, datetime.now(UTC).date())
        self.tools = tuple(tools)
        self._format = settings.audio_format
        for phrase in (greeting_audio, holding_phrase):
            if phrase is not None and phrase.audio_format != self._format:
                raise FormatMismatchError("bot", str(phrase.audio_format), str(self._format))
        self._clock = clock
        asked = greeting if greeting_audio is None else None
        self._session = RealtimeSession(
            settings,
            tools=tools,
            greeting=asked,
            holding_phrase=holding_phrase,
            pace=(paces or PROCESS_PACES).of(settings),
        )
        self._greeted: Sequence[Happening] = ()
        self._resuming_phrase = (
            None if resuming_phrase is None else prerecorded(resuming_phrase, settings.audio_format)
        )
        if greeting_audio is not None:
            if not greeting:
                raise ValueError("the model has to be told the words of greeting_audio: give greeting as well")
            self._greeted = self._session.greeted(greeting, greeting_audio, clock())
        places = [RealtimeEndpoint(base_url, api_key), *endpoints]
        dialer = Dialer(
            Choice(places, breakers or PROCESS_BREAKERS),
            settings.model,
            self._session.set_up,
            connect=connect,
            clock=clock,
            report=lambda failed: self.run_beside(self.report(failed)),
        )
        link = ModelLink(dialer, clock=clock, rollover_after_s=rollover_after_s)
        self._conversation = ModelConversation(self._session, link, self, clock=clock)
        self._ending = False
        self._following: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._playhead_known = False
        own = type(self).process_audio is RealtimeLLM.process_audio
        self._hears_packets = own and self._format == PCMU_8K

    def formats(self, tracks: Tracks) -> Tracks:
        """The caller's audio must have the session's format and ends here; the bot's has it from here on."""
        if tracks.caller != self._format:
            raise FormatMismatchError("caller", str(tracks.caller or "nothing"), str(self._format))
        return Tracks(caller=None, bot=self._format)

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Begin to open the session."""
        await super().setup(setup)
        restored = getattr(_resources(setup), "restored", None)
        if isinstance(restored, Restored):
            self._greeted = self._session.resumed(restored, self._resuming_phrase, self._clock())
        self._following = self._spawn(self._converse())

    async def cleanup(self) -> None:
        """Close the socket, and leave nothing running."""
        await super().cleanup()
        self._end()
        await self._conversation.closed()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLEANUP_DEADLINE_S)
        for task in tuple(self._tasks):
            await self.cancel_task(task)  # pyright: ignore[reportUnknownMemberType]  pipecat's tasks are untyped

    def can_generate_metrics(self) -> bool:
        """Whether pipecat's metrics are made, where a worker asks for them: the time to each answer."""
        return True

    def process_audio(self, frame: Frame) -> Frame | None:
        """Send the caller's audio to the model; pass any other audio on.

        Raises:
            FormatMismatchError: The caller's audio has another format than the session.
        """
        if isinstance(frame, InputEncodedAudioFrame):
            packet = frame.encoded
        elif isinstance(frame, InputAudioRawFrame):
            packet = EncodedAudio(audio=frame.audio, audio_format=pcm(frame.sample_rate, frame.num_channels))
        else:
            return frame
        if packet.audio_format is not self._format and packet.audio_format != self._format:
            raise FormatMismatchError("caller", str(packet.audio_format), str(self._format))
        self._conversation.hear(packet, self._clock())
        return None

    def take_audio(self, frame: Frame) -> Rest:
        """Take packets that go to the model as they came without any ceremony: there are 50 a second."""
        at_once = self._lane_open and not self._lane_audio_watched and self._hears_packets
        if not at_once or type(frame) is not InputEncodedAudioFrame:
            return super().take_audio(frame)
        try:
            self._conversation.hear(frame.encoded, self._clock())
        except Exception as failure:  # noqa: BLE001  whatever one packet breaks, the next one is heard
            return self._audio_failed(failure)
        return None

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Tell the session what concerns it; pass everything on but tools' results."""
        session, tell, now = self._session, self._conversation.tell, self._clock()
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                await tell(self._greeted)
                self._conversation.started.set()
            case ToolResultFrame():
                await tell(session.tool_answered(frame.call_id, frame.output, now, ends_call=frame.ends_call))
            case InterruptionFrame():
                happened = session.interrupted(now)
                self._conversation.send()
                await self.push_frame(frame, direction)
                await tell(happened)
            case PlayheadFrame():
                self._playhead_known = True
                session.adopt_playhead(frame.playhead)
                await self.push_frame(frame, direction)
            case PlayoutClearedFrame():
                await self.push_frame(frame, direction)
                await tell(session.playout_cleared(frame.heard_ms, frame.at))
            case SteeringFrame():
                await self._steer(frame, now)
            case PlayoutStartedFrame():
                await tell(session.playout_started(frame.context_id, frame.sent_at, frame.heard_at))
                await self.push_frame(frame, direction)
            case PlayoutFinishedFrame():
                await self.push_frame(frame, direction)
                await tell(session.playout_finished(now))
            case MediaStartedFrame() | MediaStoppedFrame() | UserStoppedSpeakingFrame():
                await self.push_frame(frame, direction)
                await tell(self._on_the_line(frame, now))
            case EndFrame() | CancelFrame():
                # What is played before an EndFrame takes effect is told by the transport, where there is one.
                if isinstance(frame, CancelFrame) or not self._playhead_known:
                    await tell(session.line_ended(now))
                self._end()
                await self.push_frame(frame, direction)
            case _:
                await self.push_frame(frame, direction)

    def _on_the_line(self, frame: Frame, now: float) -> Sequence[Happening]:
        """Tell the session what has happened on the caller's line."""
        if isinstance(frame, MediaStartedFrame):
            return self._session.line_began(now)
        if isinstance(frame, MediaStoppedFrame):
            return self._session.line_ended(now)
        return self._session.caller_finished(now)

    async def _steer(self, frame: SteeringFrame, now: float) -> None:
        """Do what a steering frame asks; it goes no further."""
        if isinstance(frame, ChangeFrame) and frame.tools is not None:
            self.tools = tuple(frame.tools)
            await self.push_frame(ToolsChangedFrame(self.tools))
        await self._conversation.tell(self._session.steer(frame, now))

    def _end(self) -> None:
        """The call ends: close the socket, wait for nothing more."""
        if self._ending:
            return
        self._ending = True
        if self._following is not None and not self._conversation.is_open:
            self._following.cancel()
        self._conversation.end()

    # What the conversation needs.

    async def _converse(self) -> None:
        """Follow the model's sessions; say so when there is none: the worker's policy decides then."""
        try:
            await self._conversation.follow()
            return
        except ModelLostError as loss:
            error: ProcessorsError = loss
        except Exception as failure:  # noqa: BLE001  whatever fails here, the call must not stay open and silent
            error = SessionFailedError(failure)
            await self.push_frame(ModelFaultFrame(self._clock(), "session_failed", str(error)))
        await self._conversation.started.wait()
        if not self._ending:
            self._session.end()
            await self.push_error(str(error), exception=error, force_treat_as_permanent=True)

    async def report(self, loss: ModelLostError) -> None:
        """Tell that a session, or an attempt to open one, failed. See `model_conversation.Pipeline`."""
        await self._conversation.started.wait()
        await self.push_frame(ModelFaultFrame(self._clock(), loss.code, str(loss)))

    def run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until the call ends. See `model_conversation.Pipeline`."""
        self._spawn(work)

    def hand_on_bot_audio(self, audio: happenings.BotAudio) -> Rest:
        """Give the next processor a piece of the bot's speech. See `model_conversation.Pipeline`."""
        return self.hand_on_audio(bot_audio(audio.encoded, audio.item_id))

    def clear_playout(self) -> Rest:
        """Have the transport clear what the caller has not heard. See `model_conversation.Pipeline`."""
        return self.hand_on_audio(ClearPlayoutFrame())

    async def push_happening(self, happening: Happening) -> None:
        """Tell the pipeline what happened. See `model_conversation.Pipeline`."""
        if isinstance(happening, happenings.BotAudio):
            rest = self.hand_on_bot_audio(happening)
            if rest is not None:
                await rest
            return
        frame = frame_of(happening)
        if frame is not None:
            await self.push_frame(frame)
        match happening:
            case TurnLatencyFrame(response_ms=float(response_ms)) if self.metrics_enabled:
                told = TTFBMetricsData(processor=self.name, value=response_ms / 1000)
                await self.push_frame(MetricsFrame([told]))
            case CallerTurnFrame(text=text) if text:
                await self.push_frame(
                    CallerTranscriptionFrame(text, "caller", time_now_iso8601(), finalized=True)
                )
            case happenings.CallerCutIn():
                await self.broadcast_interruption()
            case happenings.CallerStarted():
                await self._broadcast(UserStartedSpeakingFrame)
            case happenings.CallerStopped():
                await self._broadcast(UserStoppedSpeakingFrame)
            case happenings.CallOver(reason):
                await self.push_frame(EndWorkerFrame(reason=reason), UPSTREAM)
            case _:
                pass

    async def _broadcast(self, frame_class: type[Frame]) -> None:
        await self.broadcast_frame(frame_class)  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = cast("asyncio.Task[None]", self.create_task(work))  # pyright: ignore[reportUnknownMemberType]  as above
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _resources(setup: FrameProcessorSetup) -> object:
    """Return what the pipeline's worker was given as `app_resources`: the call, in a callpipe bot."""
    return setup.pipeline_worker.app_resources
