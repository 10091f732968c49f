"""Audio that waits, and frames that are too long for one message."""

import pytest
from pipecat.frames.frames import OutputAudioRawFrame, TTSAudioRawFrame

from callpipe.transports.audio.formats import PCM_24K, PCMU_8K
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.bandwidth.playout import Piece, WaitingAudio, piece_of, split
from callpipe.transports.bandwidth.serializer import bot_audio
from callpipe.transports.frames import EncodedAudio, OutputEncodedAudioFrame

MAX_WAITING_MS = 120_000


def encoded(duration_ms: int, context_id: str | None = None) -> Piece:
    audio = EncodedAudio(audio=bytes(duration_ms * 8))
    return piece_of(OutputEncodedAudioFrame(audio, context_id), audio)


def test_audio_goes_at_once_below_the_lead_and_waits_above() -> None:
    playhead = Playhead()
    waiting = WaitingAudio(playhead, 1_000)
    assert waiting.may_send(0.0)
    playhead.sent(1_000, 0.0)
    assert not waiting.may_send(0.0)
    assert waiting.add(encoded(100))
    assert waiting.next(0.0) is None
    assert waiting.due_at() == 0.25
    assert not waiting.may_send(0.1), "it would overtake what waits"
    assert waiting.next(0.1) is not None
    assert waiting.waiting_ms == 0.0
    assert waiting.may_send(0.1)


def test_what_waits_is_bounded_and_dropped_by_item() -> None:
    playhead = Playhead()
    waiting = WaitingAudio(playhead, 3_000)
    piece = encoded(1_000, "item_1")
    for _ in range(MAX_WAITING_MS // 1_000):
        assert waiting.add(piece)
    assert not waiting.add(encoded(20))
    assert len(waiting) == 120
    assert waiting.drop() == ["item_1"]
    assert (len(waiting), waiting.waiting_ms) == (0, 0.0)
    assert waiting.add(encoded(20))
    assert waiting.drop() == []


@pytest.mark.parametrize("size", [8_008, 24_000, 79_999])
def test_a_long_payload_is_cut_without_a_change(size: int) -> None:
    audio = bytes(number % 251 for number in range(size))
    whole = EncodedAudio(audio)
    pieces = split(piece_of(OutputEncodedAudioFrame(whole, "item_1"), whole))
    assert b"".join(piece.encoded.audio for piece in pieces) == audio
    assert all(0 < piece.duration_ms <= 1_000 for piece in pieces)
    assert sum(piece.duration_ms for piece in pieces) == pytest.approx(PCMU_8K.duration_ms(size))
    for piece in pieces:
        assert isinstance(piece.frame, OutputEncodedAudioFrame)
        assert piece.frame.encoded is piece.encoded
        assert piece.context_id == "item_1"


def test_long_pcm_is_cut_between_samples() -> None:
    audio = bytes(number % 251 for number in range(48_000 * 5 + 2))
    frame = TTSAudioRawFrame(audio, 24_000, 1, context_id="item_1")
    whole = bot_audio(frame)
    assert whole is not None
    pieces = split(piece_of(frame, whole))
    assert len(pieces) == 6
    for piece in pieces:
        assert isinstance(piece.frame, TTSAudioRawFrame)
        assert piece.frame.num_frames * 2 == len(piece.frame.audio)
        assert piece.encoded.audio_format == PCM_24K
    frames = [piece.frame for piece in pieces if isinstance(piece.frame, OutputAudioRawFrame)]
    assert b"".join(piece.audio for piece in frames) == audio
    assert frame.audio == audio


def test_a_short_frame_stays_as_it_is() -> None:
    piece = encoded(1_000)
    assert split(piece) == [piece]
