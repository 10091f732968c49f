"""Speech as it arrives over a telephone line."""

from __future__ import annotations

from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.audio.resampler import StreamResampler
from callpipe.transports.speech.interfaces import Voice


def over_the_line(voice: Voice, text: str, *, before_ms: int = 0, after_ms: int = 0) -> bytes:
    """Return the text as PCM16 at 8 kHz, after mu-law, with silence around it."""
    resampler = StreamResampler(voice.sample_rate, 8_000)
    spoken = b"".join(resampler.resample(chunk) for chunk in voice.speak(text)) + resampler.flush()
    return bytes(16 * before_ms) + decode_mulaw(encode_mulaw(spoken)) + bytes(16 * after_ms)
