"""Speech from a file, in the format a session speaks."""

import io
import math
import wave
from array import array
from pathlib import Path

import numpy as np
import pytest

from callpipe.processors.prerecorded import PrerecordedSpeechError, prerecorded
from callpipe.transports.audio.formats import PCM_8K, PCM_24K, PCMA_8K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.audio.g711 import decode_alaw, decode_mulaw, encode_mulaw


def tone(sample_rate: int, duration_ms: int = 500) -> bytes:
    count = sample_rate * duration_ms // 1000
    return array(
        "h", [round(8000 * math.sin(2 * math.pi * 440 * n / sample_rate)) for n in range(count)]
    ).tobytes()


def wav(pcm: bytes, sample_rate: int, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(sample_rate)
        written.writeframes(pcm)
    return file.getvalue()


def heard(audio: bytes, audio_format: AudioFormat) -> tuple[float, float]:
    """Return how long audio lasts in ms, and the frequency it has in Hz."""
    decode = {Encoding.PCMU: decode_mulaw, Encoding.PCMA: decode_alaw, Encoding.PCM: bytes}
    samples = np.frombuffer(decode[audio_format.encoding](audio), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples))
    frequency = float(spectrum.argmax()) * audio_format.sample_rate / len(samples)
    return len(samples) * 1000 / audio_format.sample_rate, frequency


@pytest.mark.parametrize("audio_format", [PCM_24K, PCMU_8K, PCMA_8K])
@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000])
def test_a_wav_file_is_given_in_the_sessions_format(
    sample_rate: int, audio_format: AudioFormat, tmp_path: Path
) -> None:
    path = tmp_path / "greeting.wav"
    path.write_bytes(wav(tone(sample_rate), sample_rate))
    speech = prerecorded(path, audio_format)
    assert speech.audio_format == audio_format
    duration_ms, frequency = heard(speech.audio, audio_format)
    assert duration_ms == pytest.approx(500, abs=4)
    assert frequency == pytest.approx(440, abs=4)


def test_what_is_no_wav_is_pcmu_and_passes_untouched() -> None:
    pcmu = encode_mulaw(tone(8_000))
    assert prerecorded(pcmu, PCMU_8K).audio == pcmu
    duration_ms, frequency = heard(prerecorded(pcmu, PCM_24K).audio, PCM_24K)
    assert duration_ms == pytest.approx(500, abs=4)
    assert frequency == pytest.approx(440, abs=4)


def test_a_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "greeting.wav"
    path.write_bytes(wav(tone(8_000), 8_000))
    first = prerecorded(str(path), PCM_8K)
    path.unlink()
    assert prerecorded(str(path), PCM_8K) is first


def test_what_can_t_be_played_is_refused_by_name(tmp_path: Path) -> None:
    good = wav(tone(8_000), 8_000)
    for source, explanation in (
        (tmp_path / "missing.wav", "missing.wav: No such file"),
        (wav(tone(8_000), 11_025), "11025 Hz"),
        (wav(tone(8_000), 8_000, channels=2), "2 channels"),
        (wav(tone(8_000), 8_000, width=1), "8 bits"),
        (b"", "it lasts 0 s"),
        (wav(b"", 8_000), "it lasts 0 s"),
        (bytes(8_000 * 61), "it lasts 61 s"),
        *((good[:size], "no WAV") for size in (4, 11, 20, 40)),
        (b"RIFF" + bytes(100), "no WAV"),
    ):
        with pytest.raises(PrerecordedSpeechError, match=explanation):
            prerecorded(source, PCMU_8K)
