"""Speech that is there before any model is: a greeting from a file."""

from __future__ import annotations

import functools
import io
import wave
from pathlib import Path

from callpipe.transports.audio.formats import PCM_8K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import decode_mulaw, encode_alaw, encode_mulaw
from callpipe.transports.audio.resampler import SAMPLE_RATES, StreamResampler
from callpipe.transports.encoded_audio import EncodedAudio
from callpipe.transports.errors import Fault

from .errors import ProcessorsError

MAX_DURATION_S = 60.0
"""Longer speech is refused: nobody wants to hear it out, and the transport keeps two minutes."""

PREPARED = 64
"""Recordings that are kept in memory, each in the format that was asked for."""


class PrerecordedSpeechError(ProcessorsError):
    """A recording can't be played to a caller.

    Attributes:
        source: The file, or ``bytes``.
        explanation: Why.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, source: str, explanation: str) -> None:
        super().__init__(f"{source}: {explanation}")
        self.source = source
        self.explanation = explanation


@functools.lru_cache(PREPARED)
def prerecorded(source: Path | str | bytes, audio_format: AudioFormat) -> EncodedAudio:
    """Return a recording in a session's format; a file is read once, when the bot is first built.

    Args:
        source: A file or its bytes: WAV with 16-bit mono PCM at 8, 16 or 24 kHz; anything that is no WAV is
            taken for PCMU at 8 kHz.
        audio_format: PCM, PCMU or PCMA in mono, at 8, 16 or 24 kHz.

    Raises:
        PrerecordedSpeechError: The file can't be read, or is something else, empty or longer than a minute.
    """
    name = "bytes" if isinstance(source, bytes) else str(source)
    try:
        recording = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as failure:
        raise PrerecordedSpeechError(name, failure.strerror or str(failure)) from None
    if recording.startswith(b"RIFF"):
        pcm, given = _wav(name, recording)
    else:
        pcm, given = decode_mulaw(recording), PCM_8K
    duration_s = given.duration_ms(len(pcm)) / 1000
    if not 0 < duration_s <= MAX_DURATION_S:
        raise PrerecordedSpeechError(name, f"it lasts {duration_s:g} s, and may last {MAX_DURATION_S:g} s")
    if audio_format == PCMU_8K and not recording.startswith(b"RIFF"):
        return EncodedAudio(audio=recording)
    resampler = StreamResampler(given.sample_rate, audio_format.sample_rate)
    pcm = resampler.resample(pcm) + resampler.flush()
    return EncodedAudio(audio=_encoded(pcm, audio_format), audio_format=audio_format)


def _wav(name: str, recording: bytes) -> tuple[bytes, AudioFormat]:
    try:
        with wave.open(io.BytesIO(recording)) as file:
            shape = (file.getsampwidth(), file.getnchannels())
            sample_rate = file.getframerate()
            pcm = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as broken:
        raise PrerecordedSpeechError(name, f"no WAV file: {broken or 'it ends too soon'}") from None
    if shape != (2, 1) or sample_rate not in SAMPLE_RATES:
        told = f"{8 * shape[0]} bits, {shape[1]} channels, {sample_rate} Hz"
        raise PrerecordedSpeechError(name, f"it has {told}; take 16-bit mono at 8, 16 or 24 kHz")
    return pcm[: len(pcm) & ~1], AudioFormat(Encoding.PCM, sample_rate)


def _encoded(pcm: bytes, audio_format: AudioFormat) -> bytes:
    match audio_format.encoding:
        case Encoding.PCMU:
            return encode_mulaw(pcm)
        case Encoding.PCMA:
            return encode_alaw(pcm)
        case Encoding.PCM:
            return pcm
