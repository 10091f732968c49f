"""Mu-law to linear samples and back, where a processor between the wire and the model wants to see samples.

When both ends speak PCMU, leave both out: the samples then pass untouched.
"""

from __future__ import annotations

from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame, TTSAudioRawFrame

from callpipe.transports.audio.formats import PCM_8K, PCMU_8K, AudioFormat, Tracks
from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.errors import FormatMismatchError
from callpipe.transports.frames import (
    CallerPcmFrame,
    EncodedAudio,
    InputEncodedAudioFrame,
    OutputEncodedAudioFrame,
)
from callpipe.transports.lane import MediaProcessor


class MulawDecoder(MediaProcessor):
    """Turns PCMU of either track into PCM, 16 bit, 8 kHz, mono. Other audio passes untouched."""

    def formats(self, tracks: Tracks) -> Tracks:
        """Return the tracks with PCMU turned into PCM.

        Raises:
            FormatMismatchError: Neither track is PCMU 8 kHz.
        """
        return _converted(tracks, PCMU_8K, PCM_8K)

    def process_audio(self, frame: Frame) -> Frame | None:
        """Return a packet's samples."""
        if isinstance(frame, InputEncodedAudioFrame) and _is_pcmu(frame.encoded):
            return CallerPcmFrame(decode_mulaw(frame.encoded.audio), 8_000)
        if isinstance(frame, OutputEncodedAudioFrame) and _is_pcmu(frame.encoded):
            samples = decode_mulaw(frame.encoded.audio)
            if frame.context_id is None:
                return OutputAudioRawFrame(samples, 8_000, 1)
            return TTSAudioRawFrame(samples, 8_000, 1, context_id=frame.context_id)
        return frame


class MulawEncoder(MediaProcessor):
    """Turns PCM, 16 bit, 8 kHz, mono of either track into PCMU. Other audio passes untouched."""

    def formats(self, tracks: Tracks) -> Tracks:
        """Return the tracks with PCM turned into PCMU.

        Raises:
            FormatMismatchError: Neither track is PCM 8 kHz.
        """
        return _converted(tracks, PCM_8K, PCMU_8K)

    def process_audio(self, frame: Frame) -> Frame | None:
        """Return the samples in mu-law."""
        if not isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame)):
            return frame
        if frame.sample_rate != 8_000 or frame.num_channels != 1:
            return frame
        encoded = EncodedAudio(audio=encode_mulaw(frame.audio))
        if isinstance(frame, InputAudioRawFrame):
            return InputEncodedAudioFrame(encoded)
        context_id = frame.context_id if isinstance(frame, TTSAudioRawFrame) else None
        return OutputEncodedAudioFrame(encoded, context_id=context_id)


def _is_pcmu(encoded: EncodedAudio) -> bool:
    return encoded.audio_format is PCMU_8K or encoded.audio_format == PCMU_8K


def _converted(tracks: Tracks, accepted: AudioFormat, given: AudioFormat) -> Tracks:
    if accepted not in (tracks.caller, tracks.bot):
        track, offered = ("caller", tracks.caller) if tracks.caller else ("bot", tracks.bot)
        raise FormatMismatchError(track, str(offered) if offered else "no audio", str(accepted))
    return Tracks(
        caller=given if tracks.caller == accepted else tracks.caller,
        bot=given if tracks.bot == accepted else tracks.bot,
    )
