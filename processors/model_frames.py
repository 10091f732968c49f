"""From what a realtime session tells to the frames that tell it to the pipeline."""

from __future__ import annotations

import functools

from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, AudioFormat, Encoding
from callpipe.transports.call_events import CallEventFrame
from callpipe.transports.frames import EncodedAudio, OutputEncodedAudioFrame, ToolCallFrame
from callpipe.transports.realtime import happenings
from callpipe.transports.realtime.happenings import Happening


class CallerTranscriptionFrame(TranscriptionFrame):
    """pipecat's frame of a transcript, which does not put it into log messages."""

    def __str__(self) -> str:
        return self.name


@functools.cache
def pcm(sample_rate: int, channels: int) -> AudioFormat:
    """Return a PCM format, the very object where it has a name: identity is the fastest comparison."""
    made = AudioFormat(Encoding.PCM, sample_rate, channels)
    return next((named for named in (PCM_8K, PCM_16K, PCM_24K) if named == made), made)


def frame_of(happening: Happening) -> Frame | None:
    """Return the frame that tells a happening downstream, if one frame does; audio is no event."""
    match happening:
        case happenings.SilenceToCover():
            return bot_audio(happening.phrase, None)
        case happenings.BotStarted():
            return TTSStartedFrame(context_id=happening.item_id)
        case happenings.BotStopped():
            return TTSStoppedFrame(context_id=happening.item_id)
        case CallEventFrame() | ToolCallFrame():
            return happening
        case _:
            return None


def bot_audio(encoded: EncodedAudio, item_id: str | None) -> Frame:
    """Return the frame of a piece of an item: pipecat's for PCM; for PCMU ours, its samples untouched."""
    audio_format = encoded.audio_format
    if audio_format.encoding is not Encoding.PCM:
        return OutputEncodedAudioFrame(encoded, context_id=item_id)
    return TTSAudioRawFrame(encoded.audio, audio_format.sample_rate, audio_format.channels, context_id=item_id)
