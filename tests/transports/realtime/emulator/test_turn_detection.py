from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from callpipe.transports.audio.formats import PCMU_8K
from callpipe.transports.audio.g711 import encode_alaw, encode_mulaw
from callpipe.transports.realtime.emulator.client_items import Hear
from callpipe.transports.realtime.emulator.configuration import ServerVad
from callpipe.transports.realtime.emulator.session import Abandon, Reaction
from callpipe.transports.realtime.emulator.turn_detection import CallerTurns, TurnStarted
from callpipe.transports.speech.interfaces import SpeechEdge

if TYPE_CHECKING:
    from .conftest import Talk

PCMU = {"type": "audio/pcmu"}


class LateDetector:
    """Tells once where speech began, some time after."""

    def __init__(self, *, began_ms: float, told_ms: float) -> None:
        self._edges = {told_ms: SpeechEdge(started=True, at_ms=began_ms)}
        self._heard_ms = 0.0

    def detect(self, pcm: bytes) -> list[SpeechEdge]:
        self._heard_ms += len(pcm) / 16
        return [self._edges[self._heard_ms]] if self._heard_ms in self._edges else []


class TestTurnDetection:
    @pytest.mark.parametrize(
        ("wire_format", "rate", "encode"),
        [
            ({"type": "audio/pcm", "rate": 24000}, 24_000, bytes),
            (PCMU, 8_000, encode_mulaw),
            ({"type": "audio/pcma"}, 8_000, encode_alaw),
        ],
    )
    def test_a_turn_is_heard_with_its_padding(
        self, talk: Talk, wire_format: object, rate: int, encode: Callable[[bytes], bytes]
    ) -> None:
        talk.update(audio={"input": {"format": wire_format, "transcription": {}}})
        speech = talk.silence(1000, rate) + talk.tones("hello there", rate) + talk.silence(1000, rate)
        reactions: list[Reaction] = []
        size = rate * 2 // 50
        for start in range(0, len(speech), size):
            reactions += talk.append(encode(speech[start : start + size]))
        assert talk.types(reactions) == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
        ]
        events = [reaction for reaction in reactions if isinstance(reaction, dict)]
        assert cast("int", events[0]["audio_start_ms"]) == pytest.approx(1000 - 300, abs=15)
        assert cast("int", events[1]["audio_end_ms"]) == pytest.approx(1000 + 11 * 40 + 500, abs=15)
        assert events[0]["item_id"] == events[1]["item_id"] == events[2]["item_id"]
        [hear] = [reaction for reaction in reactions if isinstance(reaction, Hear)]
        assert len(hear.pcm) / 2 / rate == pytest.approx(0.3 + 0.44 + 0.5, abs=0.03)
        assert hear.transcribe

    def test_a_short_pause_does_not_end_a_turn(self, talk: Talk) -> None:
        talk.update(audio={"input": {"format": PCMU}})
        words = talk.tones("one") + talk.silence(400) + talk.tones("two") + talk.silence(490)
        assert talk.types(talk.append(encode_mulaw(words))) == ["input_audio_buffer.speech_started"]
        assert "input_audio_buffer.speech_stopped" in talk.types(talk.append(b"\xff" * 400))

    @pytest.mark.parametrize(("eagerness", "silence_ms"), [("high", 300), ("auto", 700), ("low", 1500)])
    def test_semantic_detection_waits_the_longer_the_less_eager_it_is(
        self, talk: Talk, eagerness: str, silence_ms: int
    ) -> None:
        detection = {"type": "semantic_vad", "eagerness": eagerness}
        talk.update(audio={"input": {"format": PCMU, "turn_detection": detection}})
        talk.append(encode_mulaw(talk.tones("one")))
        assert talk.append(b"\xff" * 8 * (silence_ms - 20)) == []
        assert talk.types(talk.append(b"\xff" * 8 * 40))[0] == "input_audio_buffer.speech_stopped"

    def test_one_event_may_bring_several_turns(self, talk: Talk) -> None:
        talk.update(
            audio={
                "input": {"format": PCMU, "turn_detection": {"type": "server_vad", "create_response": False}}
            }
        )
        two = (talk.tones("one") + talk.silence(1000)) * 2
        reactions = talk.append(encode_mulaw(two))
        assert talk.types(reactions).count("input_audio_buffer.committed") == 2
        assert "response.created" not in talk.types(reactions)

    def test_barge_in_cancels_the_response(self, talk: Talk) -> None:
        talk.update(audio={"input": {"format": PCMU}})
        response = talk.respond()
        talk.take(response.begin_speech("a long story", 1000))
        talk.take(response.speech("a long", bytes(24 * 500 * 2)))
        reactions = talk.append(encode_mulaw(talk.tones("stop")))
        assert talk.types(reactions) == [
            "input_audio_buffer.speech_started",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
        assert Abandon(response) in reactions
        done = cast("dict[str, object]", talk.events[-2]["response"])
        assert done["status"] == "cancelled"
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        [item] = cast("list[dict[str, object]]", done["output"])
        assert item["status"] == "incomplete"
        assert item["content"] == [{"type": "output_audio", "transcript": "a long"}]

    def test_without_interruption_the_response_goes_on_and_the_next_cant_start(self, talk: Talk) -> None:
        detection = {"type": "server_vad", "interrupt_response": False}
        talk.update(audio={"input": {"format": PCMU, "turn_detection": detection}})
        response = talk.respond()
        reactions = talk.append(encode_mulaw(talk.tones("and?") + talk.silence(1000)))
        assert not any(isinstance(reaction, Abandon) for reaction in reactions)
        assert talk.error([talk.events[-1]])["code"] == "conversation_already_has_active_response"
        assert not response.is_done

    def test_a_commit_in_mid_speech_takes_the_announced_item(self, talk: Talk) -> None:
        talk.update(audio={"input": {"format": PCMU}})
        [started] = talk.append(encode_mulaw(talk.tones("hello")))
        committed = talk.send("input_audio_buffer.commit")[0]
        assert isinstance(started, dict)
        assert committed["item_id"] == started["item_id"]
        assert talk.append(b"\xff" * 8_000) == []

    def test_speech_while_detection_is_off_is_no_turn(self, talk: Talk) -> None:
        talk.update(audio={"input": {"format": PCMU}})
        talk.append(encode_mulaw(talk.tones("hello")))
        talk.update(audio={"input": {"turn_detection": None}})
        assert talk.append(b"\xff" * 8_000) == []
        talk.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
        assert talk.append(b"\xff" * 8_000) == []
        assert talk.types(talk.append(encode_mulaw(talk.tones("again")))) == [
            "input_audio_buffer.speech_started"
        ]

    def test_memory_is_bounded_while_nobody_speaks(self, talk: Talk) -> None:
        talk.update(audio={"input": {"format": PCMU}})
        for _ in range(100):
            talk.append(b"\xff" * 8_000)
        talk.append(encode_mulaw(talk.tones("hello") + talk.silence(600)))
        assert talk.session.caller_audio_ms == 100_000 + 200 + 600
        talk.update(audio={"input": {"turn_detection": None}})
        for _ in range(400):
            talk.append(b"\xff" * 8_000)
        [hear] = [r for r in talk.react("input_audio_buffer.commit") if isinstance(r, Hear)]
        assert len(hear.pcm) == 300 * 16_000

    def test_a_detector_may_tell_two_seconds_late_where_speech_began(self) -> None:
        turns = CallerTurns(PCMU_8K, LateDetector(began_ms=3_000, told_ms=5_000), lambda: "item_1")
        told = [one for _ in range(300) for one in turns.append(b"\xff" * 160, ServerVad())]
        assert told == [TurnStarted("item_1", 3_000 - 300)]


class TestIdleTimeout:
    def test_a_silent_caller_makes_the_model_speak(self, talk: Talk) -> None:
        detection = {"type": "server_vad", "idle_timeout_ms": 6000}
        talk.update(audio={"input": {"format": PCMU, "turn_detection": detection}})
        assert talk.session.deadline is None
        talk.now = 10.0
        talk.say("hello", 1000)
        assert talk.session.deadline == 10 + 1 + 6
        for _ in range(7):
            talk.append(b"\xff" * 8_000)
        assert talk.session.tick(16.9) == []
        reactions = talk.session.tick(17.0)
        talk.take(reactions)
        assert talk.types(reactions) == [
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
        ]
        triggered = reactions[0]
        assert isinstance(triggered, dict)
        assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (1000, 7000)
        assert talk.session.deadline is None

    def test_speech_in_time_keeps_it_silent(self, talk: Talk) -> None:
        detection = {"type": "server_vad", "idle_timeout_ms": 6000}
        talk.update(audio={"input": {"format": PCMU, "turn_detection": detection}})
        talk.say("hello")
        talk.append(encode_mulaw(talk.tones("yes")))
        assert talk.session.deadline is None
