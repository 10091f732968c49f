from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from callpipe.transports.audio.g711 import decode_mulaw
from callpipe.transports.bandwidth.emulator.caller import SILENT_PACKET, Caller, Performance
from callpipe.transports.bandwidth.emulator.errors import ScriptError
from callpipe.transports.bandwidth.emulator.listener import Listener
from callpipe.transports.bandwidth.emulator.script import parse_script

LOUD = np.full(160, 5_000, "<i2").tobytes()
QUIET = bytes(320)


class SteadyVoice:
    """Says every text for 100 ms, at 24 kHz."""

    sample_rate = 24_000

    def speak(self, text: str) -> Iterator[bytes]:
        yield np.full(1_200, 5_000, "<i2").tobytes()
        yield np.full(1_200, 5_000, "<i2").tobytes()


class Rehearsal:
    """A performance whose bot speaks when the test says so."""

    def __init__(self, script: str, voice: SteadyVoice | None = None) -> None:
        caller = Caller(parse_script(script), voice or SteadyVoice())
        self.notes: list[str] = []
        self.listener = Listener()
        self.performance = Performance(caller.rehearse(), caller.script.linger_s, self.listener, self.note)

    def note(self, name: str, detail: str, words: str) -> None:
        del detail, words
        self.notes.append(name)

    def packets(self, number: int, heard: bytes = QUIET, *, playing: bool | None = None) -> list[bytes | None]:
        """Return the next packets while the caller hears the same all the time."""
        given: list[bytes | None] = []
        for _ in range(number):
            given.append(self.performance.next_packet())
            self.listener.hear(heard, playing=heard == LOUD if playing is None else playing)
        return given


def speaks(packets: list[bytes | None]) -> bool:
    return any(packet is not None and packet != SILENT_PACKET for packet in packets)


def test_says_its_text_once_in_packets_of_20_ms_then_hangs_up() -> None:
    call = Rehearsal("steps: [{say: hello}, {silence: {ms: 40}}, hang_up]")
    packets = call.packets(9)
    said = [packet for packet in packets if packet]
    assert [len(packet) for packet in said] == [160] * 7
    assert packets[7:] == [None, None]
    assert said[5:] == [SILENT_PACKET] * 2
    middle = np.frombuffer(decode_mulaw(said[2]), "<i2")
    assert abs(float(middle.mean()) - 5_000) < 200
    assert call.notes == ["caller says", "caller hangs up"]


def test_plays_a_file_and_then_goes_on(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "cough.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(LOUD * 2)
    call = Rehearsal(f"steps: [{{play: {tmp_path / 'cough.wav'}}}, {{silence: {{ms: 20}}}}, hang_up]")
    packets = call.packets(4)
    assert speaks(packets[:1])
    assert speaks(packets[1:2])
    assert packets[2:] == [SILENT_PACKET, None]
    assert call.notes == ["caller plays", "caller hangs up"]


def test_waits_until_the_bot_has_spoken_and_been_quiet() -> None:
    call = Rehearsal("steps: [{wait_for_bot: {quiet_ms: 200}}, {say: x}]")
    assert not speaks(call.packets(100))
    assert not speaks(call.packets(50, LOUD))
    assert not speaks(call.packets(10))
    assert speaks(call.packets(1))


def test_a_pause_of_the_bot_does_not_end_its_turn() -> None:
    call = Rehearsal("steps: [{wait_for_bot: {quiet_ms: 200}}, {say: x}]")
    for _ in range(5):
        assert not speaks(call.packets(10, LOUD) + call.packets(9, playing=True))
    assert not speaks(call.packets(1))
    assert speaks(call.packets(1))


def test_what_the_bot_said_before_the_caller_spoke_is_no_answer() -> None:
    call = Rehearsal("steps: [{cut_in: {after_ms: 100, say: stop}}, {wait_for_bot: {quiet_ms: 100}}, {say: x}]")
    call.packets(6, LOUD)
    assert speaks(call.packets(5, LOUD))
    assert not speaks(call.packets(100))
    assert not speaks(call.packets(10, LOUD) + call.packets(5))
    assert speaks(call.packets(1))


def test_each_wait_needs_a_turn_of_its_own() -> None:
    wait = "{wait_for_bot: {quiet_ms: 100}}"
    call = Rehearsal(f"steps: [{wait}, {wait}, {{say: x}}]")
    call.packets(10, LOUD)
    assert not speaks(call.packets(50))
    call.packets(10, LOUD)
    assert speaks(call.packets(7))


def test_cuts_in_when_the_bot_has_spoken_long_enough_in_one_go() -> None:
    call = Rehearsal("steps: [{cut_in: {after_ms: 300, say: x}}]")
    assert not speaks(call.packets(10, LOUD))
    assert not speaks(call.packets(10))  # nothing plays: this burst is over
    assert not speaks(call.packets(15, LOUD))
    assert speaks(call.packets(1, LOUD))
    assert call.notes == ["caller cuts in"]


def test_a_packet_that_comes_late_does_not_end_a_burst() -> None:
    call = Rehearsal("steps: [{cut_in: {after_ms: 300, say: x}}]")
    call.packets(10, LOUD)
    call.packets(2)
    assert speaks(call.packets(4, LOUD))


def test_gives_up_when_the_bot_says_nothing() -> None:
    call = Rehearsal("steps: [{say: x}, {wait_for_bot: {deadline_s: 2}}, {say: y}]")
    packets = call.packets(110)
    assert packets.index(None) == 105
    assert call.performance.gave_up == "step 2, wait_for_bot"
    assert call.notes == ["caller says", "caller gives up"]


@pytest.mark.parametrize(
    "waits", ["wait_for_bot: {again_after_s: 1}", "cut_in: {after_ms: 300, say: y, again_after_s: 1}"]
)
def test_a_caller_whom_nobody_answers_says_their_words_again(waits: str) -> None:
    call = Rehearsal(f"steps: [{{say: x}}, {{{waits}}}]")
    call.packets(5)
    assert not speaks(call.packets(50))
    assert speaks(call.packets(1))
    assert not speaks(call.packets(4)[4:] + call.packets(30))
    call.packets(10, LOUD)
    call.packets(20)
    assert call.notes == ["caller says", "caller says again"]


def test_a_caller_who_has_said_nothing_yet_has_nothing_to_say_again() -> None:
    call = Rehearsal("steps: [{wait_for_bot: {again_after_s: 1}}]")
    assert not speaks(call.packets(200))


def test_lingers_after_the_last_step_and_then_hangs_up() -> None:
    call = Rehearsal("{linger_s: 1, steps: [{silence: {ms: 20}}]}")
    assert call.packets(60).index(None) == 51
    assert call.performance.gave_up is None


def write_wav(path: Path, *, rate: int, channels: int, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(b"\x88\x13" * (rate // 10 * channels * width // 2))


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (8_000, 2), (4_000, 1)])
def test_plays_a_wav_file_of_any_rate_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    write_wav(tmp_path / "a.wav", rate=rate, channels=channels)
    script = parse_script("steps: [{play: a.wav}]", folder=tmp_path)
    (turn,) = Caller(script).rehearse()
    assert turn is not None
    assert len(turn.audio) == 800


@pytest.mark.parametrize("name", ["missing.wav", "text.wav", "eight.wav", "thirty_two.wav"])
def test_a_file_that_can_not_be_played_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    write_wav(tmp_path / "eight.wav", rate=8_000, channels=1, width=1)
    write_wav(tmp_path / "thirty_two.wav", rate=8_000, channels=1, width=4)
    caller = Caller(parse_script(f"steps: [{{play: {name}}}]", folder=tmp_path))
    with pytest.raises(ScriptError, match=name):
        caller.rehearse()


def test_texts_need_a_voice() -> None:
    with pytest.raises(ScriptError, match="no voice"):
        Caller(parse_script("steps: [{cut_in: {after_ms: 1, say: x}}]"))


def test_where_in_a_long_piece_the_speech_is_matters() -> None:
    listener = Listener()
    listener.hear(QUIET * 3 + LOUD + QUIET * 2, playing=True)
    assert listener.burst_began_ms == 60
    assert listener.speaking_ms == 60
    assert listener.quiet_ms == 40
    assert listener.burst_ms == 20
    listener.hear(b"", playing=True)
    assert listener.heard_ms == 120


def test_a_bot_that_sends_silence_without_end_does_not_speak_without_end() -> None:
    listener = Listener()
    listener.hear(LOUD, playing=True)
    for _ in range(25):
        assert listener.speaking
        listener.hear(QUIET, playing=True)
    assert not listener.speaking
