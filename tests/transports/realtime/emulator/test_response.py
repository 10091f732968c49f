from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from callpipe.transports.realtime.emulator.client_items import Hear
from callpipe.transports.realtime.emulator.server_events import ServerEvent
from callpipe.transports.realtime.emulator.session import Abandon
from callpipe.transports.speech.interfaces import Heard, Say

if TYPE_CHECKING:
    from .conftest import Talk

PCMU = {"type": "audio/pcmu"}


class TestResponses:
    def test_the_events_of_a_spoken_answer_in_order(self, talk: Talk) -> None:
        talk.say("hello")
        assert talk.types(talk.events[1:]) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
        part = next(event["part"] for event in talk.events if event["type"] == "response.content_part.done")
        whole = next(event for event in talk.events if event["type"] == "response.output_audio_transcript.done")
        assert whole["transcript"]
        assert part == {"type": "audio", "transcript": whole["transcript"]}

    def test_an_item_has_one_part_and_each_event_says_where_it_belongs(self, talk: Talk) -> None:
        response = talk.respond()
        for text in ("one", "two"):
            talk.take(response.begin_speech(text, 100))
            talk.take(response.speech(text, bytes(4_800)) + response.end_message())
        parts = [event for event in talk.events if "content_index" in event]
        assert {event["content_index"] for event in parts} == {0}
        items = {event["item_id"]: event["output_index"] for event in parts}
        assert list(items.values()) == [0, 1]

    def test_a_tool_call(self, talk: Talk) -> None:
        response = talk.respond()
        events = talk.take(response.call("book", '{"name": "Ann", "seats": 4}'))
        talk.take(talk.session.finish(response, 0))
        assert talk.types(events) == [
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
        ]
        assert "".join(str(event.get("delta", "")) for event in events) == '{"name": "Ann", "seats": 4}'
        output = {"type": "function_call_output", "call_id": events[4]["call_id"], "output": "{}"}
        assert talk.types(talk.send("conversation.item.create", item=output))[0] == "conversation.item.added"

    def test_a_written_answer(self, talk: Talk) -> None:
        response = talk.respond(output_modalities=["text"])
        talk.take(response.write("two words"))
        talk.take(talk.session.finish(response, 0))
        assert "response.output_audio.delta" not in talk.types(talk.events)
        done = cast("dict[str, object]", talk.events[-2]["response"])
        [item] = cast("list[dict[str, object]]", done["output"])
        assert item["content"] == [{"type": "output_text", "text": "two words"}]

    @pytest.mark.parametrize(("choice", "offered"), [("auto", ["book"]), ("required", ["book"]), ("none", [])])
    def test_the_brain_is_offered_the_tools_unless_it_is_to_choose_none(
        self, talk: Talk, choice: str, offered: list[str]
    ) -> None:
        talk.update(tools=[{"type": "function", "name": "book", "parameters": {"type": "object"}}])
        view = talk.session.view(talk.respond(tool_choice=choice))
        assert [tool["name"] for tool in view.tools] == offered

    def test_one_at_a_time(self, talk: Talk) -> None:
        response = talk.respond()
        refused = talk.error(talk.send("response.create", event_id="mine"))
        assert refused["code"] == "conversation_already_has_active_response"
        assert refused["event_id"] == "mine"
        assert response.id in str(refused["message"])
        talk.take(talk.session.finish(response, 0))
        talk.respond()

    def test_out_of_band_beside_the_conversation(self, talk: Talk) -> None:
        item_id = talk.say("hello")
        talk.respond()
        reference = {"type": "item_reference", "id": item_id}
        text = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "sum up"}]}
        aside = talk.respond(conversation="none", input=[reference, text], metadata={"topic": "sum"})
        assert talk.session.view(aside).history == [Say("hello"), Heard("sum up")]
        events = talk.take(aside.write("a greeting") + talk.session.finish(aside, 0))
        assert "conversation.item.added" not in talk.types(events)
        done = cast("dict[str, object]", events[-2]["response"])
        assert (done["conversation_id"], done["metadata"]) == (None, {"topic": "sum"})
        assert talk.session.view(talk.session.responses.find(None)).history == [Say("hello")]

    def test_cancel(self, talk: Talk) -> None:
        response = talk.respond()
        assert (
            talk.error(talk.send("response.cancel", response_id="resp_x"))["code"]
            == "response_cancel_not_active"
        )
        assert Abandon(response) in talk.react("response.cancel", response_id=response.id)
        done = cast("dict[str, object]", talk.events[-2]["response"])
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        refused = talk.error(talk.send("response.cancel"))
        assert refused["code"] == "response_cancel_not_active"
        assert refused["message"] == "Cancellation failed: no active response found"

    def test_failure(self, talk: Talk) -> None:
        response = talk.respond()
        talk.take(talk.session.fail(response, "no idea", 0))
        done = cast("dict[str, object]", talk.events[-2]["response"])
        assert done["status"] == "failed"
        talk.respond()

    def test_output_tokens_are_limited(self, talk: Talk) -> None:
        response = talk.respond(max_output_tokens=15)
        talk.take(response.begin_speech("hello", 1000))
        talk.take(response.speech("hello", bytes(48 * 600)))
        assert not response.is_full
        talk.take(response.speech("", bytes(48 * 50)))
        assert response.is_full
        talk.take(talk.session.finish(response, 0))
        done = cast("dict[str, object]", talk.events[-2]["response"])
        assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}

    def test_a_tool_call_may_use_up_the_tokens(self, talk: Talk) -> None:
        response = talk.respond(max_output_tokens=1)
        talk.take(response.call("book", '{"name": "Ann", "seats": 4}'))
        talk.take(talk.session.finish(response, 0))
        done = cast("dict[str, object]", talk.events[-2]["response"])
        assert done["status"] == "incomplete"

    def test_tokens_count_by_duration_and_what_was_read_before_is_cached(self, talk: Talk) -> None:
        talk.update(instructions="x" * 40, audio={"input": {"turn_detection": None}})
        talk.append(talk.silence(2050, 24_000))
        talk.send("input_audio_buffer.commit")
        talk.say("y" * 8, 1000)
        talk.say("z" * 8, 500)
        first, second = (
            cast("dict[str, object]", cast("dict[str, object]", event["response"])["usage"])
            for event in talk.events
            if event["type"] == "response.done"
        )
        assert first == {
            "total_tokens": 31 + 22,
            "input_tokens": 31,
            "output_tokens": 22,
            "input_token_details": {
                "text_tokens": 10,
                "audio_tokens": 21,
                "image_tokens": 0,
                "cached_tokens": 0,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 2, "audio_tokens": 20},
        }
        assert second["input_tokens"] == 31 + 22
        assert cast("dict[str, object]", second["input_token_details"])["cached_tokens"] == 31
        assert second["output_tokens"] == 2 + 10


class TestTruncate:
    def cut(self, talk: Talk, item_id: str, audio_end_ms: int, content_index: int = 0) -> list[ServerEvent]:
        return talk.send(
            "conversation.item.truncate",
            item_id=item_id,
            content_index=content_index,
            audio_end_ms=audio_end_ms,
        )

    def test_what_was_not_heard_is_forgotten(self, talk: Talk) -> None:
        item_id = talk.say("one two three four", 1000)
        [event] = self.cut(talk, item_id, 389)
        assert event["audio_end_ms"] == 389
        [retrieved] = talk.send("conversation.item.retrieve", item_id=item_id)
        assert cast("dict[str, object]", retrieved["item"])["content"] == [
            {"type": "output_audio", "transcript": None}
        ]
        assert talk.session.view(talk.respond()).history == [Say("one two")]

    def test_more_than_there_is(self, talk: Talk) -> None:
        item_id = talk.say("hello", 1000)
        assert talk.types(self.cut(talk, item_id, 1000)) == ["conversation.item.truncated"]
        assert talk.types(self.cut(talk, item_id, 800)) == ["conversation.item.truncated"]
        refused = talk.error(self.cut(talk, item_id, 801))
        assert refused["message"] == "Audio content of 800ms is already shorter than 801ms"
        assert refused["code"] == "invalid_value"

    def test_only_audio_of_the_model(self, talk: Talk) -> None:
        content = [{"type": "input_text", "text": "hi"}]
        item = {"type": "message", "role": "user", "id": "mine", "content": content}
        talk.send("conversation.item.create", item=item)
        words = "Only model output audio messages can be truncated"
        assert talk.error(self.cut(talk, "mine", 0))["message"] == words
        response = talk.respond()
        begun = talk.take(response.begin_speech("not begun", 1000))
        assert talk.error(self.cut(talk, str(begun[-1]["item_id"]), 0))["message"] == words

    def test_only_content_that_exists(self, talk: Talk) -> None:
        assert talk.error(self.cut(talk, talk.say("hello"), 10, content_index=1))["param"] == "content_index"


class TestTranscription:
    def heard(self, talk: Talk, **input_: object) -> list[ServerEvent]:
        talk.update(audio={"input": {"turn_detection": None, **input_}})
        talk.append(talk.silence(1000, 24_000))
        [hear] = [r for r in talk.react("input_audio_buffer.commit") if isinstance(r, Hear)]
        return talk.take(talk.session.heard(hear, "good day"))

    def test_only_when_asked_for(self, talk: Talk) -> None:
        assert self.heard(talk) == []

    def test_in_words_and_as_a_whole(self, talk: Talk) -> None:
        *deltas, completed = self.heard(talk, transcription={"model": "gpt-4o-transcribe"})
        assert [delta["delta"] for delta in deltas] == ["good", " day"]
        assert completed["transcript"] == "good day"
        assert completed["usage"] == {"type": "duration", "seconds": 1.0}

    def test_failure(self, talk: Talk) -> None:
        talk.update(audio={"input": {"turn_detection": None, "transcription": {}}})
        talk.append(talk.silence(1000, 24_000))
        [hear] = [r for r in talk.react("input_audio_buffer.commit") if isinstance(r, Hear)]
        [failed] = talk.take(talk.session.unheard(hear, "deaf"))
        assert failed["type"] == "conversation.item.input_audio_transcription.failed"
