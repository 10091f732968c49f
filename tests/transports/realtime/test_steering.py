"""What may be asked of a session in the middle of a call, and what the server is told for it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from callpipe.transports.audio.formats import PCM_24K, PCMA_8K, PCMU_8K, AudioFormat
from callpipe.transports.conversation_events import EndAskedFrame
from callpipe.transports.frames import EncodedAudio
from callpipe.transports.realtime.caller_gate import CallerGate
from callpipe.transports.realtime.happenings import CallOver
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad
from callpipe.transports.steering import (
    ChangeFrame,
    EndWhenHeardFrame,
    HoldFrame,
    MuteCallerFrame,
    ResumeFrame,
    SayFrame,
    TellFrame,
    UnmuteCallerFrame,
)

if TYPE_CHECKING:
    from .conftest import Serve, Server


@dataclass
class Booking:
    name: str = "book_table"
    description: str = "Book a table."

    @property
    def parameters(self) -> dict[str, Any]:
        return {"type": "object", "properties": {}}


def requests(server: Server) -> list[dict[str, Any]]:
    return [message["response"] for message in server.sent() if message["type"] == "response.create"]


def words(response: dict[str, Any]) -> str:
    return str(response["instructions"]).rpartition(": ")[2]


def packet(audio_format: AudioFormat = PCM_24K, sample: bytes = b"\x12\x34") -> EncodedAudio:
    return EncodedAudio(audio=sample * (audio_format.size(20) // len(sample)), audio_format=audio_format)


def appended(server: Server) -> list[bytes]:
    return [base64.b64decode(message["audio"]) for message in server.sent() if "audio" in message]


# Say.


def test_what_is_to_be_said_is_asked_for_alone_and_without_tools(serve: Serve) -> None:
    server = serve()
    server.session.steer(SayFrame("Your table is ready."), server.now)

    [request] = requests(server)
    assert words(request) == "Your table is ready."
    assert (request["input"], request["tool_choice"]) == ([], "none")
    assert "conversation" not in request  # what the caller hears becomes a part of the conversation


def test_it_waits_for_the_answer_in_progress_and_comes_once_for_each_asking(serve: Serve) -> None:
    server = serve()
    server.begins()
    server.session.steer(SayFrame("One."), server.now)
    server.session.steer(SayFrame("One."), server.now)
    assert requests(server) == []

    server.ends()
    assert [words(request) for request in requests(server)] == ["One."]
    server.begins("resp_2")
    server.ends("resp_2")
    assert [words(request) for request in requests(server)] == ["One."]
    server.begins("resp_3")
    server.ends("resp_3")
    assert requests(server) == []


def test_it_waits_for_the_session(serve: Serve) -> None:
    server = serve(ready=False, greeting="Good morning.")
    server.sent()
    server.session.steer(TellFrame("The caller is a guest."), server.now)
    server.session.steer(SayFrame("Welcome back."), server.now)
    assert server.sent() == []

    server.opens()
    message, first = server.sent()
    assert message["item"]["content"] == [{"type": "input_text", "text": "The caller is a guest."}]
    server._requests.append(first["response"]["metadata"])  # pyright: ignore[reportPrivateUsage]
    server.begins()
    server.ends()
    assert {words(first["response"]), *map(words, requests(server))} == {"Good morning.", "Welcome back."}


def test_a_caller_who_cuts_in_before_its_first_word_delays_it(serve: Serve) -> None:
    server = serve()
    server.session.steer(SayFrame("This call is recorded."), server.now)
    server.sent()
    server.begins()
    server.caller_speaks()
    server.ends(status="cancelled")
    server.caller_stops()
    assert requests(server) == []
    server.begins("resp_2")
    server.ends("resp_2")

    assert [words(request) for request in requests(server)] == ["This call is recorded."]


def test_a_caller_who_cuts_in_while_it_is_asked_for_delays_it_too(serve: Serve) -> None:
    server = serve(RealtimeSettings(turn_detection=ServerVad(create_response=False)))
    server.session.steer(SayFrame("This call is recorded."), server.now)
    server.sent()
    server.caller_speaks()
    assert server.sent_types() == ["response.cancel"]
    server.begins()
    assert server.audio() == []
    server.ends(status="cancelled")
    server.caller_stops()

    assert [words(request) for request in requests(server)] == ["This call is recorded."]


def test_a_caller_who_cuts_in_later_cuts_it_off(serve: Serve) -> None:
    server = serve().with_playhead()
    server.session.steer(SayFrame("This call is recorded."), server.now)
    server.sent()
    server.begins()
    server.audio(ms=1000)
    server.now += 0.5
    server.caller_speaks()
    server.clears()
    server.ends(status="cancelled")
    server.caller_stops()
    server.begins("resp_2")
    server.ends("resp_2")

    assert server.sent_types() == ["conversation.item.truncate"]


def test_an_interruption_of_the_authors_own_ends_it_for_good(serve: Serve) -> None:
    server = serve()
    server.session.steer(SayFrame("Never mind."), server.now)
    server.sent()
    server.begins()
    server.session.interrupted(server.now)
    server.ends(status="cancelled")

    assert server.sent_types() == ["response.cancel"]


# Tell and change.


def test_a_message_is_added_and_answered_only_where_that_is_wished(serve: Serve) -> None:
    server = serve()
    server.session.steer(TellFrame("It rains."), server.now)
    assert server.sent_types() == ["conversation.item.create"]

    server.session.steer(TellFrame("It pours.", respond=True), server.now)
    message, request = server.sent()
    assert message["item"]["role"] == "system"
    assert request["response"].keys() == {"metadata"}


def test_changes_leave_the_rest_as_it_is(serve: Serve) -> None:
    server = serve()
    server.session.steer(ChangeFrame(instructions="Speak French."), server.now)
    server.session.steer(ChangeFrame(tools=[Booking()]), server.now)
    server.session.steer(ChangeFrame(tools=[]), server.now)

    first, second, third = (message["session"] for message in server.sent())
    assert first == {"type": "realtime", "instructions": "Speak French."}
    assert second.keys() == {"type", "tools"}
    assert [tool["name"] for tool in second["tools"]] == ["book_table"]
    assert third == {"type": "realtime", "tools": []}


# The caller's line.


def test_a_muted_caller_is_silence_of_the_same_length(serve: Serve) -> None:
    for audio_format, silence in ((PCM_24K, b"\0"), (PCMU_8K, b"\xff"), (PCMA_8K, b"\xd5")):
        server = serve(RealtimeSettings(audio_format=audio_format))
        given = packet(audio_format)
        server.session.steer(MuteCallerFrame(), server.now)
        server.session.caller_audio(given, server.now)
        server.session.steer(UnmuteCallerFrame(), server.now)
        server.session.caller_audio(given, server.now)

        assert appended(server) == [silence * len(given.audio), given.audio]


def test_a_caller_on_hold_is_not_sent_and_what_they_were_saying_is_dropped(serve: Serve) -> None:
    server = serve()
    server.caller_speaks()
    server.session.steer(HoldFrame(), server.now)
    server.session.caller_audio(packet(), server.now)
    assert server.sent_types() == ["input_audio_buffer.clear"]

    server.session.steer(SayFrame("One moment."), server.now)
    assert [words(request) for request in requests(server)] == ["One moment."]

    server.session.steer(ResumeFrame(), server.now)
    server.session.caller_audio(packet(), server.now)
    assert server.sent_types() == ["input_audio_buffer.append"]


def test_speech_that_crosses_a_hold_on_the_wire_keeps_nobody_waiting(serve: Serve) -> None:
    server = serve()
    server.session.steer(HoldFrame(), server.now)
    server.caller_speaks()
    server.session.steer(SayFrame("One moment."), server.now)

    assert [words(request) for request in requests(server)] == ["One moment."]


def test_a_caller_is_unmuted_when_all_there_is_to_say_was_heard(serve: Serve) -> None:
    for server in (serve(), serve().with_playhead()):
        given = packet()
        server.session.steer(MuteCallerFrame(), server.now)
        server.session.steer(SayFrame("This call is recorded."), server.now)
        server.session.steer(UnmuteCallerFrame(when_heard=True), server.now)
        server.sent()
        server.begins()
        server.spoken("item_1", 2000)
        server.ends()
        server.now += 1.9
        server.session.due(server.now)
        server.session.caller_audio(given, server.now)
        assert appended(server) == [bytes(len(given.audio))]

        server.now += 0.11
        server.session.due(server.now)
        server.session.caller_audio(given, server.now)
        assert appended(server) == [given.audio]


def test_without_a_transport_the_end_of_what_is_heard_is_waited_for(serve: Serve) -> None:
    server = serve()
    server.session.steer(MuteCallerFrame(), server.now)
    server.begins()
    server.spoken("item_1", 2000)
    server.ends()
    server.session.steer(UnmuteCallerFrame(when_heard=True), server.now)

    assert server.due() == pytest.approx(server.now + 2)


def test_a_gate_that_is_open_is_not_shut_by_opening_it_later() -> None:
    gate = CallerGate()
    gate.unmute(when_heard=True)
    assert not gate.muted
    gate.mute()
    gate.unmute(when_heard=True)
    gate.mute()  # muted anew: the earlier wish does not hold
    gate.all_heard()
    assert gate.muted


# The end.


def test_the_end_waits_until_what_was_to_be_said_is_heard(serve: Serve) -> None:
    server = serve().with_playhead()
    server.session.steer(SayFrame("Goodbye."), server.now)
    assert [type(one) for one in server.session.steer(EndWhenHeardFrame(), server.now)] == [EndAskedFrame]
    server.sent()
    server.begins()
    server.spoken("item_1", 1000)
    assert CallOver("goodbye heard") not in server.ends()
    server.now += 1.1

    assert server.finishes()[-1] == CallOver("goodbye heard")
    assert requests(server) == []


def test_the_end_comes_at_once_where_nothing_is_to_be_said(serve: Serve) -> None:
    server = serve().with_playhead()

    asked, over = server.session.steer(EndWhenHeardFrame(), server.now)
    assert isinstance(asked, EndAskedFrame)
    assert over == CallOver("goodbye heard")


def test_a_tool_that_ends_the_call_itself_is_not_followed_by_one_more_answer(serve: Serve) -> None:
    server = serve().with_playhead()
    server.begins()
    server.calls("call_1")
    server.session.steer(EndWhenHeardFrame(), server.now)
    server.answers("call_1")
    server.sent()

    assert CallOver("goodbye heard") in server.ends()
    assert server.sent() == []
