"""Audio as it crosses a wire is told in bytes, base64 and time."""

from base64 import b64encode

import pytest

from callpipe.transports.audio.formats import PCM_16K
from callpipe.transports.encoded_audio import EncodedAudio


@pytest.mark.parametrize("size", [0, 1, 2, 3, 159, 160, 161])
def test_its_payload_is_its_base64(size: int) -> None:
    audio = bytes(range(size))
    assert EncodedAudio(audio).payload == b64encode(audio).decode()


def test_audio_lasts_as_long_as_its_format_says() -> None:
    assert EncodedAudio(bytes(160)).duration_ms == 20.0
    assert EncodedAudio(bytes(160), PCM_16K).duration_ms == 5.0


def test_what_is_logged_of_it_holds_no_audio() -> None:
    assert repr(EncodedAudio(b"secret", PCM_16K)) == f"EncodedAudio(6 bytes, {PCM_16K})"
