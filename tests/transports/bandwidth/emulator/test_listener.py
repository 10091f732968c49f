"""When an emulated caller hears the bot speak, and for how long it is quiet."""

from __future__ import annotations

import array

import pytest

from callpipe.transports.bandwidth.emulator.listener import Listener


def loud(ms: float, amplitude: int = 1_000) -> bytes:
    return array.array("h", [amplitude] * round(8 * ms)).tobytes()


def quiet(ms: float) -> bytes:
    return bytes(round(16 * ms))


def hear(listener: Listener, *pieces: bytes, playing: bool = True) -> Listener:
    for piece in pieces:
        listener.hear(piece, playing=playing)
    return listener


def test_before_the_bot_speaks_there_is_no_burst() -> None:
    listener = hear(Listener(), quiet(20), quiet(20))

    assert (listener.heard_ms, listener.quiet_ms) == (40, 40)
    assert (listener.speaking, listener.speaking_ms) == (False, 0)
    assert (listener.burst_began_ms, listener.burst_ms) == (None, 0)


@pytest.mark.parametrize(("amplitude", "speaks"), [(99, False), (100, True), (-100, True)])
def test_what_is_louder_than_50_db_below_full_scale_is_speech(amplitude: int, speaks: bool) -> None:
    assert hear(Listener(), loud(20, amplitude)).speaking is speaks


def test_a_burst_is_timed_to_the_sample() -> None:
    listener = hear(Listener(), quiet(20), quiet(5) + loud(10) + quiet(5))
    assert (listener.burst_began_ms, listener.quiet_ms) == (25, 5)
    assert (listener.speaking_ms, listener.burst_ms) == (15, 10)

    hear(listener, loud(20), quiet(20))
    assert (listener.burst_began_ms, listener.quiet_ms) == (25, 20)
    assert (listener.speaking_ms, listener.burst_ms) == (55, 35)


def test_a_burst_ends_after_100_ms_in_which_nothing_plays() -> None:
    listener = hear(Listener(), loud(20))
    hear(listener, quiet(80), playing=False)
    hear(listener, quiet(20))
    hear(listener, quiet(80), playing=False)
    assert listener.speaking
    hear(listener, quiet(20), playing=False)

    assert not listener.speaking
    assert listener.speaking_ms == 0
    assert listener.burst_ms == 20
    assert hear(listener, loud(20)).burst_began_ms == 220


def test_a_burst_ends_after_500_ms_of_silence_that_plays() -> None:
    listener = hear(Listener(), loud(20), quiet(480))
    assert listener.speaking

    assert not hear(listener, quiet(20)).speaking
