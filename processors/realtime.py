"""The realtime model as a processor: caller audio in, the bot's speech, tool calls and events out."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast
from urllib.parse import quote

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    EndWorkerFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.utils.time import time_now_iso8601

from callpipe.transports import websocket
from callpipe.transports.audio.formats import AudioFormat, Encoding, Tracks
from callpipe.transports.errors import (
    FormatMismatchError,
    SocketBacklogError,
    SocketClosedError,
    SocketRefusedError,
)
from callpipe.transports.frames import (
    CallerTurnFrame,
    CallEventFrame,
    EncodedAudio,
    InputEncodedAudioFrame,
    MediaStoppedFrame,
    ModelFaultFrame,
    OutputEncodedAudioFrame,
    PlayheadFrame,
    PlayoutClearedFrame,
    PlayoutFinishedFrame,
    PlayoutStartedFrame,
    ToolCallFrame,
    ToolResultFrame,
)
from callpipe.transports.lane import UPSTREAM, MediaProcessor
from callpipe.transports.realtime import happenings
from callpipe.transports.realtime.events import MalformedEventError, ToolSchema, parse
from callpipe.transports.realtime.happenings import Happening
from callpipe.transports.realtime.session import RealtimeSession
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.steering import ChangeFrame, SteeringFrame, ToolsChangedFrame
from callpipe.transports.websocket import Connect, WebSocket

from .errors import (
    ModelSessionRefusedError,
    ModelSocketLostError,
    ModelUnreachableError,
    ProcessorsError,
    SessionFailedError,
)

CONNECT_DEADLINE_S = 10.0
CLOSE_DEADLINE_S = 1.0
CLEANUP_DEADLINE_S = 2.0


class CallerTranscriptionFrame(TranscriptionFrame):
    """pipecat's frame of a transcript, which does not put it into log messages."""

    def __str__(self) -> str:
        return self.name


class RealtimeLLM(MediaProcessor):
    """Holds a session with a realtime model and joins it to the pipeline.

    The session is opened while the pipeline is set up. The caller's audio ends here; the bot's begins here,
    with the model's item id as its `context_id`. When the model can't be reached, refuses the session, or its
    socket closes in the middle of a call, an ErrorFrame makes this processor unusable, after a
    `ModelFaultFrame`: a worker with ``ProcessorUnusablePolicy.END`` ends the call then.

    Args:
        settings: What the session is set up with.
        tools: What the model may call; put a `ToolRouter` behind this processor to run them.
        api_key: The API's key. It is sent in the handshake and nowhere else.
        base_url: The API's address, http(s) or ws(s), without ``/realtime``.
        greeting: What the bot says first; None lets the caller begin.
        connect: Opens the socket.
        clock: Monotonic seconds, the call's clock.
    """

    def __init__(
        self,
        *,
        settings: RealtimeSettings,
        tools: Sequence[ToolSchema] = (),
        api_key: str,
        base_url: str = "https://api.openai.com/v1",
        greeting: str | None = None,
        connect: Connect = websocket.connect,
        clock: Callable[[], float] = time.monotonic,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.tools = tuple(tools)
        self._format = settings.audio_format
        self._url = model_url(base_url, settings.model)
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._connect = connect
        self._clock = clock
        self._session = RealtimeSession(settings, tools=tools, greeting=greeting)
        self._socket: WebSocket | None = None
        self._started = asyncio.Event()
        self._closing = False
        self._ending = False
        self._conversation: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm = Alarm(lambda: self._spawn(self._overdue()), clock)
        self._playhead_known = False

    def formats(self, tracks: Tracks) -> Tracks:
        """The caller's audio must have the session's format and ends here; the bot's has it from here on."""
        if tracks.caller != self._format:
            raise FormatMismatchError("caller", str(tracks.caller or "nothing"), str(self._format))
        return Tracks(caller=None, bot=self._format)

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Begin to open the session."""
        await super().setup(setup)
        self._conversation = self._spawn(self._converse())

    async def cleanup(self) -> None:
        """Close the socket, and leave nothing running."""
        await super().cleanup()
        self._end()
        if self._conversation is not None and self._socket is None:
            self._conversation.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLEANUP_DEADLINE_S)
        for task in tuple(self._tasks):
            await self.cancel_task(task)  # pyright: ignore[reportUnknownMemberType]  pipecat's tasks are untyped

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
        if packet.audio_format != self._format:
            raise FormatMismatchError("caller", str(packet.audio_format), str(self._format))
        self._session.caller_audio(packet, self._clock())
        self._send()
        return None

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        """Tell the session what concerns it; pass everything on but tools' results."""
        session, now = self._session, self._clock()
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                self._started.set()
            case ToolResultFrame():
                await self._tell(
                    session.tool_answered(frame.call_id, frame.output, now, ends_call=frame.ends_call), now
                )
            case InterruptionFrame():
                happened = session.interrupted(now)
                self._send()
                await self.push_frame(frame, direction)
                await self._tell(happened, now)
            case PlayheadFrame():
                self._playhead_known = True
                session.adopt_playhead(frame.playhead)
                await self.push_frame(frame, direction)
            case PlayoutClearedFrame():
                await self.push_frame(frame, direction)
                await self._tell(session.playout_cleared(frame.heard_ms, frame.at), now)
            case SteeringFrame():
                await self._steer(frame, now)
            case PlayoutStartedFrame():
                await self._tell(session.playout_started(frame.context_id, frame.sent_at, frame.heard_at), now)
                await self.push_frame(frame, direction)
            case PlayoutFinishedFrame():
                await self.push_frame(frame, direction)
                await self._tell(session.playout_finished(now), now)
            case MediaStoppedFrame():
                await self.push_frame(frame, direction)
                await self._tell(session.line_ended(now), now)
            case EndFrame() | CancelFrame():
                # What is played before an EndFrame takes effect is told by the transport, where there is one.
                if isinstance(frame, CancelFrame) or not self._playhead_known:
                    await self._tell(session.line_ended(now), now)
                self._end()
                await self.push_frame(frame, direction)
            case _:
                await self.push_frame(frame, direction)

    async def _steer(self, frame: SteeringFrame, now: float) -> None:
        """Do what a steering frame asks; it goes no further."""
        if isinstance(frame, ChangeFrame) and frame.tools is not None:
            self.tools = tuple(frame.tools)
            await self.push_frame(ToolsChangedFrame(self.tools))
        await self._tell(self._session.steer(frame, now), now)

    # The socket.

    async def _converse(self) -> None:
        """Open the session, then read what the model sends until its socket closes."""
        since = self._clock()
        try:
            socket = await self._connect(self._url, headers=self._headers, deadline_s=CONNECT_DEADLINE_S)
        except SocketRefusedError as refusal:
            await self._started.wait()
            await self._unusable("unreachable", ModelUnreachableError(str(refusal), refusal.status))
            return
        self._socket = socket
        if self._closing:
            await socket.close(deadline_s=CLOSE_DEADLINE_S)
            return
        now = self._clock()
        self._session.opened(now, connecting_since=since)
        await self._tell((), now)
        await self._started.wait()
        try:
            while True:
                await self._receive(await socket.receive())
        except SocketClosedError as closed:
            await self._unusable("socket_closed", ModelSocketLostError(closed.code, closed.reason))
        except Exception as failure:  # noqa: BLE001  whatever fails here, the call must not stay open and silent
            await self._unusable("session_failed", SessionFailedError(failure))

    async def _receive(self, message: str | bytes) -> None:
        now = self._clock()
        try:
            event = parse(message)
        except MalformedEventError as malformed:
            await self._tell(self._session.malformed(malformed, now), now)
        else:
            await self._tell(self._session.receive(event, now), now)

    def _send(self) -> None:
        """Send what the session has to say. A socket that fails is noticed by whoever reads it."""
        outbox = self._session.outbox
        if self._socket is None or not outbox:
            return
        try:
            for message in outbox:
                self._socket.send(message)
        except (SocketClosedError, SocketBacklogError):
            self._session.lost()
        outbox.clear()

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._started.set()
        self._session.lost()
        if self._socket is not None:
            self._spawn(self._socket.close(deadline_s=CLOSE_DEADLINE_S))

    def _end(self) -> None:
        """The call ends: close the socket, wait for nothing more."""
        self._ending = True
        self._close()
        self._alarm.set(None)

    async def _unusable(self, code: str, error: ProcessorsError) -> None:
        """Say that there is no session any more; the worker's policy decides what becomes of the call."""
        if self._closing:
            return
        self._close()
        await self.push_frame(ModelFaultFrame(self._clock(), code, str(error)))
        await self.push_error(str(error), exception=error, force_treat_as_permanent=True)

    # The pipeline.

    async def _tell(self, happened: Sequence[Happening], now: float) -> None:
        """Send what a step of the session has to say, push what it found out, and set the alarm anew."""
        self._send()
        for happening in happened:
            await self._push(happening, now)
        if not self._ending:
            self._alarm.set(self._session.next_due(self._clock()))

    async def _push(self, happening: Happening, now: float) -> None:
        frame = frame_of(happening)
        if frame is not None:
            await self.push_frame(frame)
        match happening:
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
            case happenings.SessionRefused(code, explanation):
                await self._unusable(code, ModelSessionRefusedError(code, explanation))
            case happenings.CallOver(reason):
                await self.push_frame(EndWorkerFrame(reason=reason), UPSTREAM)
            case _:
                pass

    async def _broadcast(self, frame_class: type[Frame]) -> None:
        await self.broadcast_frame(frame_class)  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped

    async def _overdue(self) -> None:
        now = self._clock()
        await self._tell(self._session.due(now), now)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = cast("asyncio.Task[None]", self.create_task(work))  # pyright: ignore[reportUnknownMemberType]  as above
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@functools.cache
def pcm(sample_rate: int, channels: int) -> AudioFormat:
    """Return a PCM format; made once, for there are 50 packets a second."""
    return AudioFormat(Encoding.PCM, sample_rate, channels)


def model_url(base_url: str, model: str) -> str:
    """Return the address of a model's socket below an API's address, http(s) or ws(s)."""
    base = base_url.rstrip("/")
    if base.startswith("http"):
        base = "ws" + base.removeprefix("http")
    return f"{base}/realtime?model={quote(model, safe='')}"


def frame_of(happening: Happening) -> Frame | None:
    """Return the frame that tells a happening downstream, if one frame does."""
    match happening:
        case happenings.BotAudio():
            return bot_audio(happening.encoded, happening.item_id)
        case happenings.BotStarted():
            return TTSStartedFrame(context_id=happening.item_id)
        case happenings.BotStopped():
            return TTSStoppedFrame(context_id=happening.item_id)
        case CallEventFrame() | ToolCallFrame():
            return happening
        case _:
            return None


def bot_audio(encoded: EncodedAudio, item_id: str) -> Frame:
    """Return the frame of a piece of an item: pipecat's for PCM; for PCMU ours, its payload untouched."""
    audio_format = encoded.audio_format
    if audio_format.encoding is not Encoding.PCM:
        return OutputEncodedAudioFrame(encoded, context_id=item_id)
    return TTSAudioRawFrame(encoded.audio, audio_format.sample_rate, audio_format.channels, context_id=item_id)


class Alarm:
    """Rings once, at the time it was last set to.

    Args:
        ring: Called when it is time.
        clock: Monotonic seconds.
    """

    def __init__(self, ring: Callable[[], object], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Ring at `due`, in s, instead of any time before; None for never."""
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        if due is not None:
            delay_s = max(due - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._is_due)

    def _is_due(self) -> None:
        self._due = self._timer = None
        self._ring()
