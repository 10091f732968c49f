"""In a whole call, everything comes in order: starts and ends, interruptions, the caller's first words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADState
from pipecat.frames.frames import EndFrame, EndWorkerFrame, Frame, StartFrame, TTSStoppedFrame
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from callpipe.pipelines import Call, Pipeline, passthrough_call, realtime_call
from callpipe.processors import MulawDecoder, MulawEncoder, RealtimeLLM, Resampler
from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.bandwidth.emulator import CallerScript, Line
from callpipe.transports.bandwidth.emulator.script import CutIn, HangUp, Say, Silence, Step, WaitForBot
from callpipe.transports.call_events import MediaStoppedFrame
from callpipe.transports.lane import UPSTREAM, MediaProcessor
from callpipe.transports.realtime.emulator.served_session import EmulatorSettings
from callpipe.transports.realtime.settings import RealtimeSettings
from callpipe.transports.speech.tones import ToneEar

from .virtual_call import Scene, Sent, sentences

Place = list[FrameProcessor]


class QuietAnalyzer(VADAnalyzer):
    """Hears nothing, and takes no thread for it."""

    async def analyze_audio(self, buffer: bytes) -> VADState:
        del buffer
        return VADState.QUIET

    def num_frames_required(self) -> int:
        return 160

    def voice_confidence(self, buffer: bytes) -> float:
        del buffer
        return 0.0


class HangsUp(MediaProcessor):
    """Ends the call as soon as the first answer is generated."""

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        await self.push_frame(frame, direction)
        if isinstance(frame, TTSStoppedFrame):
            await self.push_frame(EndWorkerFrame(), UPSTREAM)


class Note:
    """What stands at one place of the pipeline, and notes what comes by on its way downstream.

    Args:
        ends: Where the places note, each by itself, that the end has come by.
    """

    def __init__(self, ends: list[Note]) -> None:
        self.frames: list[Frame] = []
        self._ends = ends

    def take(self, frame: Frame, direction: FrameDirection) -> None:
        if direction is FrameDirection.DOWNSTREAM:
            self.frames.append(frame)
            if isinstance(frame, EndFrame):
                self._ends.append(self)


class InLane(MediaProcessor):
    """Notes in the lane."""

    def __init__(self, note: Note) -> None:
        super().__init__()
        self._note = note

    def process_audio(self, frame: Frame) -> Frame | None:
        self._note.take(frame, FrameDirection.DOWNSTREAM)
        return frame

    async def process_event(self, frame: Frame, direction: FrameDirection) -> None:
        self._note.take(frame, direction)
        await self.push_frame(frame, direction)


class Queued(FrameProcessor):
    """Notes as a stock processor does."""

    def __init__(self, note: Note) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self._note = note

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self._note.take(frame, direction)
        await self.push_frame(frame, direction)


def nothing() -> tuple[Place, Place, Place]:
    return [], [], []


def queues() -> tuple[Place, Place, Place]:
    return [IdentityFilter()], [IdentityFilter()], [IdentityFilter(), IdentityFilter()]


def pipecats() -> tuple[Place, Place, Place]:
    recorder = AudioBufferProcessor(auto_start_recording=True, buffer_size=48_000)
    return (
        [VADProcessor(vad_analyzer=QuietAnalyzer(sample_rate=24_000))],
        [recorder, IdentityFilter()],
        [IdentityFilter()],
    )


def chain(call: Call, places: tuple[Place, Place, Place]) -> Pipeline:
    """The transcoding chain with others before the model, behind it, and before the transport's output."""
    before, behind, at_the_end = places
    model = RealtimeLLM(
        settings=RealtimeSettings(), api_key="none", greeting="Hello", connect=call.connect, clock=call.clock
    )
    return Pipeline(
        [
            call.transport.input(),
            MulawDecoder(),
            Resampler(24_000),
            *before,
            model,
            *behind,
            Resampler(8_000),
            MulawEncoder(),
            *at_the_end,
            call.transport.output(),
        ]
    )


def script(*steps: Step) -> CallerScript:
    return CallerScript.model_construct(steps=steps)


def text_of(sent: Sequence[Sent]) -> str:
    """What an ear reads in the audio of these messages."""
    return ToneEar().hear(decode_mulaw(b"".join(message.audio for message in sent)), 8_000)


@pytest.mark.parametrize("places", [nothing, queues, pipecats])
def test_a_clear_stands_between_the_cut_answer_and_the_next(
    places: Callable[[], tuple[Place, Place, Place]],
) -> None:
    answers = sentences([12_000] * 8, seed=1)
    cut_ins = [CutIn(after_ms=after_ms, say="Stop it") for after_ms in (200, 700, 1_500, 2_900, 60, 3_600)]
    scene = Scene(
        script(*cut_ins, WaitForBot(quiet_ms=700), HangUp()),
        answers,
        lambda call: chain(call, places()),
        line=Line(one_way_ms=40, jitter_ms=30, seed=2),
        # The answer is still being generated when it is cut off.
        model=EmulatorSettings(delta_ms=50, speed=2),
    )
    call = scene.hold()
    assert call.reason == "caller"
    assert call.model.server_events("error") == []
    to_carrier = [message for message in call.sent if message.to == "carrier"]
    clears = [place for place, message in enumerate(to_carrier) if message.kind == "clear"]
    assert len(clears) == len(cut_ins)

    for number, (start, end) in enumerate(zip([0, *clears], [*clears, len(to_carrier)], strict=True)):
        spoken = text_of(to_carrier[start:end])
        # An ear may miss the last character, where the audio was cut off.
        assert len(spoken) > 5
        assert answers[number].startswith(spoken[:-1])


@pytest.mark.parametrize("places", [nothing, queues, pipecats])
def test_the_model_is_told_of_a_cut_once_the_carrier_is(
    places: Callable[[], tuple[Place, Place, Place]],
) -> None:
    cut_ins = [CutIn(after_ms=after_ms, say="Stop it") for after_ms in (300, 1_000, 2_000)]
    scene = Scene(
        script(*cut_ins, WaitForBot(quiet_ms=700), HangUp()),
        sentences([6_000] * 4, seed=1),
        lambda call: chain(call, places()),
    )
    call = scene.hold()
    order = [
        message.kind
        for message in call.sent
        if message.kind in ("clear", "conversation.item.truncate", "conversation.item.delete")
    ]
    assert order == ["clear", "conversation.item.truncate"] * len(cut_ins)
    # An interruption waits for nothing.
    clears = [message for message in call.sent if message.kind == "clear"]
    truncates = [message for message in call.sent if message.kind == "conversation.item.truncate"]
    for clear, truncate in zip(clears, truncates, strict=True):
        assert truncate.at - clear.at < 0.001


@pytest.mark.parametrize("ended_by", ["bot", "caller"])
@pytest.mark.parametrize("kind", [InLane, Queued])
def test_a_start_comes_first_and_an_end_last(kind: type[InLane | Queued], ended_by: str) -> None:
    ends: list[Note] = []
    notes = [Note(ends) for _ in range(4)]

    def build(call: Call) -> Pipeline:
        first, before, behind, last = (kind(note) for note in notes)
        hangs_up = [HangsUp()] if ended_by == "bot" else []
        return Pipeline([first, chain(call, ([before], [*hangs_up, behind], [])), last])

    caller = {"caller": [WaitForBot(quiet_ms=700), HangUp()], "bot": [Silence(ms=60_000)]}[ended_by]
    scene = Scene(script(*caller), sentences([4_000], seed=1), build, line=Line(one_way_ms=40, seed=2))
    call = scene.hold()

    assert call.reason == ended_by
    assert ends == notes
    for note in notes:
        assert isinstance(note.frames[0], StartFrame)
        assert sum(isinstance(frame, StartFrame) for frame in note.frames) == 1
        # A bot's end is held back behind the model until it was heard; the line goes on meanwhile.
        assert isinstance(note.frames[-1], EndFrame) or ended_by == "bot"
    stopped, ended = notes[-1].frames[-2:]
    assert isinstance(stopped, MediaStoppedFrame)
    assert isinstance(ended, EndFrame)
    assert [burst.heard_ms for burst in call.report.bursts] == [pytest.approx(4_000, abs=3)]


@pytest.mark.parametrize("slow", ["connecting", "answering"])
def test_the_callers_first_words_wait_for_a_slow_session(slow: str) -> None:
    delay = {"connecting": (2.0, 0.0), "answering": (0.0, 2_000.0)}[slow]
    scene = Scene(
        script(Say(text="These are the first words of a call, said at once."), Silence(ms=3_000), HangUp()),
        sentences([1_000], seed=1),
        lambda call: passthrough_call(call, instructions="Recite."),
        connect_s=delay[0],
        model=EmulatorSettings(connect_delay_ms=delay[1]),
    )
    call = scene.hold()

    appended = [message for message in call.sent if message.kind == "input_audio_buffer.append"]
    assert appended[0].at >= 2.0
    assert b"".join(message.audio for message in appended) == encode_mulaw(call.report.said)


def test_the_callers_first_words_wait_for_a_slow_session_when_they_are_resampled() -> None:
    words = "These are the first words of a call, said at once."
    scene = Scene(
        script(Say(text=words), Silence(ms=3_000), HangUp()),
        sentences([1_000], seed=1),
        lambda call: realtime_call(call, instructions="Recite."),
        model=EmulatorSettings(connect_delay_ms=2_000),
    )
    call = scene.hold()

    appended = [message for message in call.sent if message.kind == "input_audio_buffer.append"]
    pcm = b"".join(message.audio for message in appended)
    said = len(call.report.said) // 2
    # At 24 kHz, but for what the filter holds: 3 ms at the most.
    assert 3 * said - 72 <= len(pcm) // 2 <= 3 * said
    assert ToneEar().hear(pcm, 24_000) == words
