"""Audio as it crosses a wire is told in bytes, base64 and time, whichever of them was at hand."""

from base64 import b64encode

import pytest

from callpipe.transports.audio.formats import PCM_16K
from callpipe.transports.encoded_audio import EncodedAudio, decode_base64


@pytest.mark.parametrize("size", [0, 1, 2, 3, 159, 160, 161])
def test_base64_tells_its_size_before_it_is_decoded(size: int) -> None:
    audio = bytes(range(size))
    payload = b64encode(audio).decode()
    from_wire = EncodedAudio(payload=payload)
    assert from_wire.size == size
    assert from_wire.audio == audio
    assert from_wire.size == size
    assert from_wire.payload == payload
    made = EncodedAudio(audio=audio)
    assert (made.size, made.payload, made.audio) == (size, payload, audio)


def test_audio_lasts_as_long_as_its_format_says() -> None:
    assert EncodedAudio(audio=bytes(160)).duration_ms == 20.0
    assert EncodedAudio(audio=bytes(160), audio_format=PCM_16K).duration_ms == 5.0


def test_audio_without_any_is_refused() -> None:
    with pytest.raises(ValueError, match="payload or audio"):
        EncodedAudio()


@pytest.mark.parametrize("payload", ["AQ", "AQ=", "AQI", "A", "AQ=A", "A Q=", "AQ\n==", "AQID====", "ÄQID"])
def test_what_is_not_base64_is_refused(payload: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - binascii's words differ
        decode_base64(payload)
    with pytest.raises(ValueError):  # noqa: PT011
        _ = EncodedAudio(payload=payload).audio
