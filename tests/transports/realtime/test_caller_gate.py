"""The model hears the caller, silence in their place, or nothing."""

import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMA_8K, PCMU_8K, AudioFormat
from callpipe.transports.encoded_audio import EncodedAudio
from callpipe.transports.realtime.caller_gate import CallerGate

PACKET = EncodedAudio(audio=b"\x12" * 160)


def heard(gate: CallerGate) -> bytes | None:
    let_through = gate.instead_of(PACKET) if gate.muted or gate.held else PACKET
    return None if let_through is None else let_through.audio


@pytest.mark.parametrize(("audio_format", "silent"), [(PCMU_8K, b"\xff"), (PCMA_8K, b"\xd5"), (PCM_24K, b"\0")])
def test_a_muted_caller_is_heard_as_silence_of_the_same_length(
    audio_format: AudioFormat, silent: bytes
) -> None:
    gate = CallerGate()
    gate.mute()
    let_through = gate.instead_of(EncodedAudio(audio=b"\x12" * 160, audio_format=audio_format))
    assert let_through is not None
    assert let_through.audio == silent * 160
    assert let_through.audio_format == audio_format


def test_a_caller_is_heard_again_at_once() -> None:
    gate = CallerGate()
    assert heard(gate) == PACKET.audio
    gate.mute()
    gate.unmute(when_heard=False)
    assert heard(gate) == PACKET.audio


def test_a_caller_is_heard_again_once_they_have_heard_the_bot() -> None:
    gate = CallerGate()
    gate.mute()
    gate.all_heard()
    assert heard(gate) != PACKET.audio
    gate.unmute(when_heard=True)
    assert heard(gate) != PACKET.audio
    gate.all_heard()
    assert heard(gate) == PACKET.audio


def test_a_caller_who_is_muted_anew_stays_muted() -> None:
    gate = CallerGate()
    gate.mute()
    gate.unmute(when_heard=True)
    gate.mute()
    gate.all_heard()
    assert heard(gate) != PACKET.audio


def test_a_caller_who_is_heard_anyway_is_not_muted_by_unmuting() -> None:
    gate = CallerGate()
    gate.unmute(when_heard=True)
    assert heard(gate) == PACKET.audio
    assert not gate.opens_when_heard


def test_of_a_held_caller_nothing_is_sent() -> None:
    gate = CallerGate()
    gate.held = True
    assert heard(gate) is None
