"""What is said on an emulated call, made ready before it is heard: texts and WAV files as 8 kHz PCM."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]

from ...speech.interfaces import Voice
from .errors import ScriptError
from .narrowband import BYTES_PER_SAMPLE, SAMPLE_RATE

SILENT_MS_PER_CHARACTER = 60
"""How long a text lasts when nobody is there to speak it: 17 characters a second, an announcer's pace."""


def spoken(text: str, voice: Voice) -> bytes:
    """Return a text as PCM16 at 8 kHz. It blocks while it computes."""
    return _narrow(b"".join(voice.speak(text)), voice.sample_rate)


def unspoken(text: str) -> bytes:
    """Return silence, PCM16 at 8 kHz, as long as the text takes to speak."""
    return bytes(len(text) * SILENT_MS_PER_CHARACTER * SAMPLE_RATE // 1000 * BYTES_PER_SAMPLE)


def read_wav(path: Path) -> bytes:
    """Return the first channel of a WAV file as PCM16 at 8 kHz. It blocks while it reads.

    Raises:
        ScriptError: There is no such file, or it holds no 16-bit samples.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != BYTES_PER_SAMPLE:
                raise ScriptError(f"{path} holds samples that are not of 16 bits")
            frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            channel = frames.reshape(-1, file.getnchannels())[:, 0]
            return _narrow(channel.tobytes(), file.getframerate())
    except (OSError, EOFError, wave.Error) as error:
        raise ScriptError(f"{path} is no WAV file that can be read") from error


def _narrow(pcm: bytes, sample_rate: int) -> bytes:
    if sample_rate == SAMPLE_RATE:
        return pcm
    return soxr.resample(np.frombuffer(pcm, "<i2"), sample_rate, SAMPLE_RATE).tobytes()
