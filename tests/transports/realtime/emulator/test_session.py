from __future__ import annotations

import base64
from typing import TYPE_CHECKING, cast

import pytest

from callpipe.transports.realtime.emulator.client_items import Hear
from callpipe.transports.realtime.emulator.server_events import ServerEvent
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput

if TYPE_CHECKING:
    from .conftest import Talk

PCMU = {"type": "audio/pcmu"}


def test_a_session_opens_with_its_whole_configuration(talk: Talk) -> None:
    [created] = talk.events
    session = cast("dict[str, object]", created["session"])
    assert created["type"] == "session.created"
    assert session["model"] == "gpt-realtime"
    assert session["output_modalities"] == ["audio"]
    assert session["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": True,
                "idle_timeout_ms": None,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    }


def test_an_account_is_never_short_of_anything(talk: Talk) -> None:
    talk.say("hello")
    limits = cast("list[dict[str, float]]", talk.events[-1]["rate_limits"])
    assert [limit["name"] for limit in limits] == ["requests", "tokens"]
    for limit in limits:
        assert limit["limit"] / 2 < limit["remaining"] < limit["limit"]
        assert 0 < limit["reset_seconds"] < 1


class TestUpdate:
    def test_only_what_is_present_changes(self, talk: Talk) -> None:
        talk.update(
            instructions="be brief",
            audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}},
        )
        updated = talk.update(audio={"input": {"format": PCMU}, "output": {"voice": "marin"}})
        session = cast("dict[str, object]", updated["session"])
        audio = cast("dict[str, dict[str, object]]", session["audio"])
        assert updated["type"] == "session.updated"
        assert session["instructions"] == "be brief"
        assert audio["input"]["format"] == PCMU
        assert cast("dict[str, object]", audio["input"]["turn_detection"])["threshold"] == 0.7
        assert audio["output"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "voice": "marin",
            "speed": 1.0,
        }

    def test_null_turns_turn_detection_off_and_an_object_turns_it_on_again(self, talk: Talk) -> None:
        talk.update(audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
        assert talk.session.configuration.audio.input.turn_detection is None
        talk.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
        detection = talk.session.configuration.audio.input.turn_detection
        assert detection is not None
        assert detection.type == "semantic_vad"
        assert talk.session.configuration.audio.input.transcription is not None

    def test_tools_replace_those_before(self, talk: Talk) -> None:
        tool = {"type": "function", "name": "book", "description": "Books.", "parameters": {"type": "object"}}
        talk.update(tools=[tool, {"type": "function", "name": "cancel"}])
        session = cast("dict[str, object]", talk.update(tools=[tool])["session"])
        assert session["tools"] == [tool]

    def test_the_voice_may_change_only_before_the_model_has_spoken(self, talk: Talk) -> None:
        assert talk.update(audio={"output": {"voice": "cedar"}})["type"] == "session.updated"
        talk.say("hello")
        refused = talk.error([talk.update(audio={"output": {"voice": "marin"}})])
        assert refused["code"] == "cannot_update_voice"
        assert refused["message"] == "Cannot update a conversation's voice if assistant audio is present."
        assert talk.update(audio={"output": {"voice": "cedar"}})["type"] == "session.updated"

    def test_the_model_may_be_repeated_but_not_changed(self, talk: Talk) -> None:
        assert talk.update(model="gpt-realtime")["type"] == "session.updated"
        assert talk.error([talk.update(model="gpt-realtime-2")])["param"] == "session.model"


class TestManualTurns:
    @pytest.fixture(autouse=True)
    def manual(self, talk: Talk) -> None:
        talk.update(audio={"input": {"turn_detection": None}})

    def test_a_commit_makes_an_item_and_no_response(self, talk: Talk) -> None:
        assert talk.append(talk.silence(150, 24_000)) == []
        reactions = talk.react("input_audio_buffer.commit")
        assert talk.types(reactions) == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        [hear] = [reaction for reaction in reactions if isinstance(reaction, Hear)]
        assert (len(hear.pcm), hear.sample_rate, hear.transcribe) == (150 * 48, 24_000, False)

    def test_less_than_100_ms_cant_be_committed(self, talk: Talk) -> None:
        talk.append(talk.silence(90, 24_000))
        refused = talk.error(talk.send("input_audio_buffer.commit", event_id="mine"))
        assert refused["code"] == "input_audio_buffer_commit_empty"
        assert refused["event_id"] == "mine"
        assert "but buffer only has 90.00ms of audio." in str(refused["message"])

    def test_a_clear_drops_what_was_appended(self, talk: Talk) -> None:
        talk.append(talk.silence(150, 24_000))
        assert talk.types(talk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
        assert talk.error(talk.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        assert talk.session.caller_audio_ms == 150

    def test_samples_may_be_cut_between_events(self, talk: Talk) -> None:
        audio = talk.tones("hi", 24_000) + talk.silence(100, 24_000)
        talk.append(audio[:1001])
        talk.append(audio[1001:])
        [hear] = [r for r in talk.react("input_audio_buffer.commit") if isinstance(r, Hear)]
        assert hear.pcm == audio

    def test_another_format_drops_the_buffer_and_keeps_the_count(self, talk: Talk) -> None:
        talk.append(talk.silence(150, 24_000))
        talk.update(audio={"input": {"format": PCMU}})
        talk.append(b"\xff" * 800)
        [hear] = [r for r in talk.react("input_audio_buffer.commit") if isinstance(r, Hear)]
        assert (hear.pcm, hear.sample_rate) == (bytes(1600), 8_000)
        assert talk.session.caller_audio_ms == 250


class TestItems:
    def test_text_tools_and_their_outputs_become_history(self, talk: Talk) -> None:
        create = "conversation.item.create"
        text = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "book it"}]}
        note = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be kind"}]}
        answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "well"}]}
        call = {"type": "function_call", "name": "book", "arguments": '{"seats":2}', "call_id": "c1"}
        output = {"type": "function_call_output", "call_id": "c1", "output": '{"ok":true}'}
        for item in (text, note, answer, call, output):
            assert talk.types(talk.send(create, item=item)) == [
                "conversation.item.added",
                "conversation.item.done",
            ]
        view = talk.session.view(talk.respond(instructions="serve"))
        assert view.instructions == "serve\n\nbe kind"
        assert view.history == [
            Heard("book it"),
            Say("well"),
            CallTool("book", {"seats": 2}),
            ToolOutput("book", '{"ok":true}'),
        ]

    def test_audio_that_comes_with_its_words_is_not_heard_again(self, talk: Talk) -> None:
        audio = base64.b64encode(talk.silence(200, 24_000)).decode()
        content = [
            {"type": "input_audio", "audio": audio, "transcript": "what is this"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        ]
        item = {"type": "message", "role": "user", "content": content}
        reactions = talk.react("conversation.item.create", item=item)
        assert not [reaction for reaction in reactions if isinstance(reaction, Hear)]
        assert talk.session.view(talk.respond()).history == [Heard("what is this")]

    def test_audio_of_an_item_is_heard(self, talk: Talk) -> None:
        audio = base64.b64encode(talk.silence(200, 24_000)).decode()
        content = [{"type": "input_audio", "audio": audio}]
        item = {"type": "message", "role": "user", "content": content}
        [hear] = [r for r in talk.react("conversation.item.create", item=item) if isinstance(r, Hear)]
        assert talk.session.heard(hear, "good day") == []
        assert talk.session.view(talk.respond()).history == [Heard("good day")]

    def test_places(self, talk: Talk) -> None:
        def add(item_id: str, **place: object) -> list[ServerEvent]:
            content = [{"type": "input_text", "text": item_id}]
            item = {"type": "message", "role": "user", "id": item_id, "content": content}
            return talk.send("conversation.item.create", item=item, **place)

        assert add("b")[0]["previous_item_id"] is None
        assert add("d", previous_item_id=None)[0]["previous_item_id"] == "b"
        assert add("a", previous_item_id="root")[0]["previous_item_id"] is None
        assert add("c", previous_item_id="b")[0]["previous_item_id"] == "b"
        assert talk.session.view(talk.respond()).history == [Heard(letter) for letter in "abcd"]
        assert talk.error(add("e", previous_item_id="x"))["param"] == "previous_item_id"
        assert talk.error(add("b"))["param"] == "item.id"

    def test_an_output_needs_its_call(self, talk: Talk) -> None:
        output = {"type": "function_call_output", "call_id": "c9", "output": ""}
        refused = talk.error(talk.send("conversation.item.create", item=output))
        assert refused["code"] == "invalid_tool_call_id"
        assert refused["message"] == "Tool call ID 'c9' not found in conversation."

    @pytest.mark.parametrize("verb", ["delete", "retrieve", "truncate"])
    def test_unknown_items(self, talk: Talk, verb: str) -> None:
        cut = {"content_index": 0, "audio_end_ms": 0} if verb == "truncate" else {}
        refused = talk.error(talk.send(f"conversation.item.{verb}", item_id="x", **cut))
        assert refused["code"] == f"item_{verb}_invalid_item_id"

    def test_deleted_items_are_gone(self, talk: Talk) -> None:
        item_id = talk.say("hello")
        [retrieved] = talk.send("conversation.item.retrieve", item_id=item_id)
        assert cast("dict[str, object]", retrieved["item"])["content"] == [
            {"type": "output_audio", "transcript": "hello"}
        ]
        assert talk.types(talk.send("conversation.item.delete", item_id=item_id)) == [
            "conversation.item.deleted"
        ]
        assert talk.error(talk.send("conversation.item.retrieve", item_id=item_id))["param"] == "item_id"
