"""A session against a server that does what it may in any order, late and twice: what must always hold."""

from __future__ import annotations

import base64
import json
import os
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callpipe.transports.audio.formats import PCM_24K
from callpipe.transports.audio.playhead import Playhead
from callpipe.transports.frames import EncodedAudio, PlayoutClearedFrame, ToolCallFrame
from callpipe.transports.realtime.events import MalformedEventError, parse
from callpipe.transports.realtime.happenings import BotAudio, CallerCutIn, CallOver, Happening
from callpipe.transports.realtime.opening import Opened
from callpipe.transports.realtime.session import RealtimeSession
from callpipe.transports.realtime.settings import RealtimeSettings, ServerVad
from callpipe.transports.steering import (
    EndWhenHeardFrame,
    FillerFrame,
    HoldFrame,
    MuteCallerFrame,
    ResumeFrame,
    SayFrame,
    SteeringFrame,
    TellFrame,
    UnmuteCallerFrame,
)

SEQUENCES = int(os.environ.get("EVENT_SEQUENCES", "150"))
"""How many sequences of events are tried; ``EVENT_SEQUENCES=10000 pytest ...`` tries more."""

STEPS = 80
"""What happens in one sequence at the most."""

REST_ROUNDS = 20
"""Rounds in which a conversation comes to rest, beside one for each sentence that is still to be said."""

PACKETS = Path(__file__).parents[2] / "packets" / "realtime"
READY = (PACKETS / "session.updated.json").read_text()


class AnyServer(RuleBasedStateMachine):
    """The server reads what was sent when it likes; its events reach the session when it likes, in order."""

    @initialize(creates=st.booleans(), interrupts=st.booleans(), transport=st.booleans(), greets=st.booleans())
    def open(self, creates: bool, interrupts: bool, transport: bool, greets: bool) -> None:
        detection = ServerVad(create_response=creates, interrupt_response=interrupts)
        self.interrupts = interrupts
        self.session = RealtimeSession(
            RealtimeSettings(turn_detection=detection), greeting="Hello." if greets else None
        )
        self.now = 16.0
        self.playhead = Playhead()
        self.transport = transport
        self.to_server: deque[dict[str, Any]] = deque()
        self.to_session: deque[dict[str, Any]] = deque()
        self.server_live: str | None = None
        self.told_live: str | None = None
        self.numbers = 0
        self.passed_ms: Counter[str] = Counter()
        self.cut_responses: set[str] = set()
        self.calls: dict[str, int] = {}
        self.outputs: Counter[str] = Counter()
        self.given_out: Counter[str] = Counter()
        self.requests_in_flight = 0
        self.texts: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.fillers: dict[str, str] = {}
        self.lengths_ms: Counter[str] = Counter()
        self.deleted: set[str] = set()
        self.incomplete: set[str] = set()
        self.said: list[str] = []
        self.ending = False
        self.over = 0
        self.response_of: dict[str, str] = {}
        self.clears: deque[PlayoutClearedFrame] = deque()
        self.session.opened(Opened("m", asked_for="m", set_up=self.session.set_up("m")), self.now)
        self.drain()
        if transport:
            self.session.adopt_playhead(self.playhead)

    # What both sides do.

    def number(self, kind: str) -> str:
        self.numbers += 1
        return f"{kind}_{self.numbers}"

    def noted(self, happened: Sequence[Happening]) -> None:
        for one in happened:
            match one:
                case BotAudio(item_id, encoded):
                    assert self.response_of[item_id] not in self.cut_responses
                    self.passed_ms[item_id] += round(encoded.duration_ms)
                    self.playhead.sent(encoded.duration_ms, self.now, item_id)
                case CallerCutIn():
                    self.cut()
                case ToolCallFrame():
                    self.given_out[one.call_id] += 1
                case CallOver():
                    self.over += 1
                case _:
                    pass
        self.drain()

    def cut(self) -> None:
        self.cut_responses |= {self.told_live} if self.told_live else set()
        if self.transport:
            self.clears.append(PlayoutClearedFrame(self.now, self.playhead.cleared(self.now)))

    def drain(self) -> None:
        for message in self.session.outbox:
            event = json.loads(message)
            if event["type"] == "response.create":
                self.requests_in_flight += 1
                assert self.told_live is None
                self.note_request(event["response"])
            elif event["type"] == "conversation.item.truncate":
                assert 0 < event["audio_end_ms"] <= self.passed_ms[event["item_id"]]
            elif event["type"] == "conversation.item.create" and event["item"]["type"] == "message":
                self.texts[event["item"]["content"][0]["text"]] -= 1
            elif event["type"] == "conversation.item.create":
                self.outputs[event["item"]["call_id"]] += 1
            self.to_server.append(event)
        self.session.outbox.clear()

    def note_request(self, response: dict[str, Any]) -> None:
        words = str(response.get("instructions", "")).rpartition(": ")[2]
        self.asked[words] += 1
        if words.startswith("filler"):
            assert response["tool_choice"] == "none"
            assert self.asked[words] == 1
            running = [call for call, filler in self.fillers.items() if filler == words]
            assert any(call not in self.answered for call in running)

    def tell(self, **event: Any) -> None:
        self.to_session.append({"event_id": self.number("event"), **event})

    def begin(self, metadata: dict[str, str] | None = None) -> None:
        self.server_live = self.number("resp")
        self.tell(type="response.created", response={"id": self.server_live, "metadata": metadata})

    def end(self, status: str) -> None:
        if self.server_live is not None:
            self.tell(type="response.done", response={"id": self.server_live, "status": status})
            self.server_live = None

    # What the server may do.

    @precondition(lambda self: self.to_server)
    @rule()
    def server_reads(self) -> None:
        event = self.to_server.popleft()
        match event["type"]:
            case "response.create" if self.server_live is None:
                self.begin(event["response"]["metadata"])
            case "response.create":
                error = {"code": "conversation_already_has_active_response", "event_id": event["event_id"]}
                self.tell(type="error", error=error)
            case "response.cancel":
                self.end("cancelled")
            case "conversation.item.create":
                self.tell(type="conversation.item.added", item=event["item"])
            case "conversation.item.truncate":
                item_id, end_ms = event["item_id"], event["audio_end_ms"]
                assert item_id not in self.deleted
                assert 0 < end_ms <= self.lengths_ms[item_id]
                self.lengths_ms[item_id] = end_ms
            case "conversation.item.delete":
                assert event["item_id"] not in self.deleted
                self.deleted.add(event["item_id"])
            case _:
                pass

    @precondition(lambda self: self.to_session)
    @rule(events=st.integers(1, 8), twice=st.booleans())
    def session_hears(self, events: int, twice: bool) -> None:
        for _ in range(min(events, len(self.to_session))):
            self.hear(self.to_session.popleft(), twice=twice)

    def hear(self, event: dict[str, Any], *, twice: bool) -> None:
        if event["type"] == "response.created":
            self.told_live = event["response"]["id"]
            self.requests_in_flight -= event["response"]["metadata"] is not None
        elif event["type"] == "response.done" and event["response"]["id"] == self.told_live:
            self.told_live = None
        elif event["type"] == "error":
            self.requests_in_flight -= 1
        for _ in range(1 + twice):
            self.noted(self.session.receive(parse(json.dumps(event)), self.now))

    @precondition(lambda self: self.server_live is None)
    @rule()
    def server_begins_by_itself(self) -> None:
        self.begin()

    @precondition(lambda self: self.server_live is not None)
    @rule(ms=st.sampled_from([20, 200, 1000]), item=st.integers(0, 2))
    def server_speaks(self, ms: int, item: int) -> None:
        assert self.server_live is not None
        item_id = f"item_{self.server_live}_{item}"
        self.response_of[item_id] = self.server_live
        self.lengths_ms[item_id] += ms
        about = {"response_id": self.server_live, "item_id": item_id}
        self.tell(type="response.output_audio_transcript.delta", delta="word ", **about)
        delta = base64.b64encode(bytes(PCM_24K.size(ms))).decode()
        self.tell(type="response.output_audio.delta", delta=delta, content_index=0, **about)

    @precondition(lambda self: self.server_live is not None)
    @rule(item=st.integers(0, 2))
    def server_completes_an_item(self, item: int) -> None:
        assert self.server_live is not None
        about = {"response_id": self.server_live, "item_id": f"item_{self.server_live}_{item}"}
        self.tell(type="response.output_audio.done", **about)

    @precondition(lambda self: self.server_live is not None)
    @rule()
    def server_calls_a_tool(self) -> None:
        assert self.server_live is not None
        call_id = self.number("call")
        self.calls[call_id] = 0
        about = {"call_id": call_id, "name": "look_up", "arguments": "{}"}
        self.tell(type="response.function_call_arguments.done", response_id=self.server_live, **about)

    @precondition(lambda self: self.server_live is not None)
    @rule(twice=st.booleans())
    def server_cuts_a_tool_call(self, twice: bool) -> None:
        assert self.server_live is not None
        call_id = self.number("call")
        self.incomplete.add(call_id)
        item = {"type": "function_call", "call_id": call_id, "name": "look_up", "arguments": '{"ha'}
        item |= {"id": f"item_{call_id}", "status": "incomplete"}
        if twice:
            self.tell(type="response.output_item.done", response_id=self.server_live, item=item)
        response = {"id": self.server_live, "status": "cancelled", "output": [item]}
        self.tell(type="response.done", response=response)
        self.server_live = None

    @precondition(lambda self: self.server_live is None)
    @rule(goes_on=st.booleans())
    def server_only_calls_a_tool(self, goes_on: bool) -> None:
        self.begin()
        self.server_calls_a_tool()
        self.end("completed")
        if goes_on:
            self.begin()

    @rule(status=st.sampled_from(["completed", "failed", "cancelled"]))
    def server_ends_its_response(self, status: str) -> None:
        self.end(status)

    @rule()
    def caller_speaks(self) -> None:
        self.tell(type="input_audio_buffer.speech_started")
        if self.interrupts:
            self.end("cancelled")

    @rule()
    def caller_stops(self) -> None:
        self.tell(type="input_audio_buffer.speech_stopped")

    # What our side may do.

    @precondition(lambda self: self.given_out)
    @rule(chance=st.randoms(use_true_random=False), ends_call=st.booleans())
    def tool_answers(self, chance: random.Random, ends_call: bool) -> None:
        self.answer(chance.choice(sorted(self.given_out)), ends_call=ends_call and chance.random() < 0.2)

    def answer(self, call_id: str, *, ends_call: bool = False) -> None:
        self.ending = self.ending or (ends_call and call_id not in self.answered)
        self.answered.add(call_id)
        self.noted(self.session.tool_answered(call_id, "{}", self.now, ends_call=ends_call))

    @precondition(lambda self: self.given_out)
    @rule(chance=st.randoms(use_true_random=False), after_ms=st.sampled_from([0, 300, 1200]))
    def tool_has_a_filler(self, chance: random.Random, after_ms: int) -> None:
        call_id = chance.choice(sorted(self.given_out))
        if call_id not in self.fillers:
            self.fillers[call_id] = self.number("filler")
            self.steer(FillerFrame(call_id, self.fillers[call_id], after_ms))

    @rule()
    def author_lets_the_model_say_something(self) -> None:
        self.said.append(self.number("say"))
        self.steer(SayFrame(self.said[-1]))

    @rule(respond=st.booleans())
    def author_tells_the_model_something(self, respond: bool) -> None:
        text = self.number("text")
        self.texts[text] += 1
        self.steer(TellFrame(text, respond=respond))

    @rule(
        frame=st.sampled_from(
            [
                MuteCallerFrame,
                UnmuteCallerFrame,
                HoldFrame,
                ResumeFrame,
                lambda: UnmuteCallerFrame(when_heard=True),
            ]
        )
    )
    def author_opens_or_shuts_the_callers_line(self, frame: Callable[[], SteeringFrame]) -> None:
        self.steer(frame())

    @rule(chance=st.randoms(use_true_random=False))
    def author_ends_the_call(self, chance: random.Random) -> None:
        if chance.random() < 0.1:
            self.ending = True
            self.steer(EndWhenHeardFrame())

    def steer(self, frame: SteeringFrame) -> None:
        self.noted(self.session.steer(frame, self.now))

    @rule()
    def somebody_interrupts(self) -> None:
        happened = self.session.interrupted(self.now)
        self.drain()
        self.cut()
        self.noted(happened)

    @precondition(lambda self: self.clears)
    @rule()
    def transport_tells_of_a_clear(self) -> None:
        clear = self.clears.popleft()
        self.noted(self.session.playout_cleared(clear.heard_ms, self.now))

    @rule(ms=st.sampled_from([5, 100, 300, 2000]))
    def time_passes(self, ms: int) -> None:
        while self.requests_in_flight:  # the server answers a request sooner than it is given up
            if self.to_server:
                self.server_reads()
            else:
                self.hear(self.to_session.popleft(), twice=False)
        end = self.now + ms / 1000
        while (due := self.session.next_due(self.now)) is not None and due <= end:
            assert due >= self.now - 1e-9
            self.now = max(due, self.now)
            self.noted(self.session.due(self.now))
            following = self.session.next_due(self.now)
            assert following is None or following > due
        self.now = end
        if self.transport and self.playhead.unheard_ms(self.now) == 0:
            self.noted(self.session.playout_finished(self.now))

    # What must hold.

    def teardown(self) -> None:
        """Let everything come to rest; then nothing is left undone."""
        if not hasattr(self, "session"):
            return
        self.steer(ResumeFrame())
        self.tell(type="input_audio_buffer.speech_started")
        self.tell(type="input_audio_buffer.speech_stopped")
        self.come_to_rest()
        for call_id in self.given_out:
            self.answer(call_id)
        for _ in range(len(self.said) + REST_ROUNDS):
            self.come_to_rest()
        assert self.server_live is None
        assert not self.session.outbox
        assert all(count == 0 for count in self.texts.values())
        assert set(self.outputs) == set(self.given_out) == set(self.calls)
        assert not self.incomplete & set(self.given_out)
        assert {f"item_{call_id}" for call_id in self.incomplete} <= self.deleted
        assert self.over == int(self.ending)
        assert all(self.asked[text] for text in self.said)

    def come_to_rest(self) -> None:
        while self.to_server or self.to_session:
            if self.to_server:
                self.server_reads()
            else:
                self.hear(self.to_session.popleft(), twice=False)
        while self.clears:
            self.transport_tells_of_a_clear()
        self.end("completed")
        self.time_passes(2_000)

    @invariant()
    def at_most_one_request_is_in_flight(self) -> None:
        assert self.requests_in_flight <= 1

    @invariant()
    def every_call_is_given_out_and_answered_at_most_once(self) -> None:
        assert all(count == 1 for count in self.given_out.values())
        assert all(count == 1 for count in self.outputs.values())

    @invariant()
    def the_call_is_over_at_most_once(self) -> None:
        assert self.over <= 1


AnyServer.TestCase.settings = settings(max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None)
TestAnyServer = AnyServer.TestCase


def test_a_hundred_thousand_fuzzed_events_leave_the_session_working() -> None:
    chance = random.Random(20261120)
    session = RealtimeSession(RealtimeSettings())
    session.opened(Opened("m", asked_for="m"), 0.0)
    golden = [
        path.read_text() for path in sorted(PACKETS.glob("*.json")) if "output_audio.delta" not in path.name
    ]
    ids = [f"resp_{number}" for number in range(50)]
    heard = 0
    for number in range(100_000):
        message = chance.choice(golden)
        if chance.random() < 0.5:
            place = chance.randrange(len(message))
            message = message[:place] + chr(chance.randrange(32, 127)) + message[place + chance.randrange(3) :]
        message = message.replace("resp_1", chance.choice(ids))
        now = number / 1000
        try:
            session.receive(parse(message), now)
        except MalformedEventError as malformed:
            session.malformed(malformed, now)
        if number % 100 == 0:
            about = {"response_id": f"good_{number}", "item_id": f"item_{number}"}
            delta = {"type": "response.output_audio.delta", "delta": "AAAA" * 20, **about}
            happened = session.receive(parse(json.dumps(delta)), now)
            heard += any(isinstance(one, BotAudio) and len(one.encoded.audio) == 60 for one in happened)
            session.caller_audio(EncodedAudio(audio=b"\0\0"), now)
            assert json.loads(session.outbox[-1])["type"] == "input_audio_buffer.append"
            session.outbox.clear()

    assert heard == 1_000
    assert len(session.faults.counts) <= 257
