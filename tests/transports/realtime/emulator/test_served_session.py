from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest

from callpipe.transports.audio.g711 import decode_mulaw, encode_mulaw
from callpipe.transports.errors import SocketClosedError
from callpipe.transports.loopback import LoopbackSocket, socket_pair
from callpipe.transports.realtime.emulator import (
    Disconnect,
    Duplicate,
    EmulatorSettings,
    Fault,
    LateDelta,
    Nth,
    Omit,
    SendError,
    SendInvalidJson,
    SendUnknownEvent,
    SessionLog,
    SlowDeltas,
    inline,
    serve_session,
)
from callpipe.transports.realtime.emulator.server_events import ServerEvent
from callpipe.transports.speech.interfaces import Brain, CallTool, Heard, Say, ToolOutput
from callpipe.transports.speech.tones import ToneEar, ToneVoice
from callpipe.transports.virtual_time import run_virtual

if TYPE_CHECKING:
    from .conftest import History, Valid

PCMU = {"type": "audio/pcmu"}
BOTH_PCMU = {"input": {"format": PCMU}, "output": {"format": PCMU}}
DELTA = "response.output_audio.delta"


class Client:
    """The other end of a served session, in virtual time."""

    def __init__(self, socket: LoopbackSocket, valid: Valid) -> None:
        self.socket = socket
        self.valid = valid
        self.events: list[tuple[float, ServerEvent]] = []

    def send(self, event_type: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": event_type, **fields}))

    async def next(self) -> ServerEvent:
        async with asyncio.timeout(60):
            event = cast("ServerEvent", json.loads(await self.socket.receive()))
        self.events.append((asyncio.get_running_loop().time(), event))
        return event

    async def until(self, event_type: str) -> ServerEvent:
        while True:
            event = await self.next()
            self.valid(event)
            if event["type"] == event_type:
                return event

    async def speak(self, text: str) -> None:
        """Say something and then nothing, in packets of 20 ms and in real time."""
        pcm = b"".join(ToneVoice(8_000).speak(text)) + bytes(16 * 700)
        for start in range(0, len(pcm), 320):
            payload = base64.b64encode(encode_mulaw(pcm[start : start + 320])).decode()
            self.send("input_audio_buffer.append", audio=payload)
            await asyncio.sleep(0.02)

    def times(self, event_type: str) -> list[float]:
        return [at for at, event in self.events if event["type"] == event_type]

    def heard(self) -> str:
        """What the model said, read from its audio."""
        deltas = [str(event["delta"]) for _, event in self.events if event["type"] == DELTA]
        return ToneEar().hear(decode_mulaw(b"".join(map(base64.b64decode, deltas))), 8_000)


Story = Callable[[Client], Awaitable[None]]
Play = Callable[..., SessionLog]


@pytest.fixture
def play(valid: Valid) -> Play:
    """Serves one session to a client that does what a story tells, and gives the session's log."""

    def run(
        brain: Brain, story: Story, *, settings: EmulatorSettings | None = None, faults: Sequence[Fault] = ()
    ) -> SessionLog:
        async def main() -> SessionLog:
            ours, theirs = socket_pair()
            clock = asyncio.get_running_loop().time
            served = asyncio.create_task(
                serve_session(theirs, brain, settings=settings, clock=clock, run=inline, faults=faults)
            )
            await story(Client(ours, valid))
            await ours.close()
            async with asyncio.timeout(5):
                return await served

        return run_virtual(main())

    return run


def response(event: ServerEvent) -> dict[str, object]:
    return cast("dict[str, object]", event["response"])


def test_a_conversation(play: Play, brain: Callable[..., Brain]) -> None:
    asked: list[History] = []

    async def story(client: Client) -> None:
        await client.until("session.created")
        audio = BOTH_PCMU | {"input": {"format": PCMU, "transcription": {}}}
        client.send("session.update", session={"type": "realtime", "audio": audio})
        client.send("response.create")
        await client.until("response.done")
        await asyncio.sleep(2)
        await client.speak("a table for two")
        await client.until("response.done")
        transcribed = await completed(client)
        assert transcribed["transcript"] == "a table for two"
        [item] = cast("list[dict[str, object]]", response(client.events[-2][1])["output"])
        assert (item["name"], item["arguments"]) == ("book", '{"seats": 2}')
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": '{"ok": true}'}
        client.send("conversation.item.create", item=output)
        client.send("response.create")
        await client.until("rate_limits.updated")
        assert client.heard() == "Hello. What can I do? Booked."

    async def completed(client: Client) -> ServerEvent:
        kind = "conversation.item.input_audio_transcription.completed"
        await client.until("rate_limits.updated")
        [event] = [event for _, event in client.events if event["type"] == kind]
        return event

    script = brain(
        [Say("Hello. What can I do?")], [CallTool("book", {"seats": 2})], [Say(" Booked.")], asked=asked
    )
    log = play(script, story)
    assert asked == [
        [],
        [Say("Hello. What can I do?"), Heard("a table for two")],
        [
            Say("Hello. What can I do?"),
            Heard("a table for two"),
            CallTool("book", {"seats": 2}),
            ToolOutput("book", '{"ok": true}'),
        ],
    ]
    assert log.caller_audio_ms == 15 * 40 + 700
    assert log.ended
    assert len(log.client_events("input_audio_buffer.append")) == (15 * 40 + 700) / 20
    assert len(log.server_events("response.done")) == 3
    assert all("delta" not in logged.event for logged in log.server_events(DELTA))
    assert "table" not in repr(log.server_events() + log.client_events())


def test_barge_in_ends_the_answer_and_what_was_not_heard_is_not_remembered(
    play: Play, brain: Callable[..., Brain]
) -> None:
    asked: list[History] = []
    story_text = "once upon a time there was a very long story " * 4

    async def story(client: Client) -> None:
        client.send("session.update", session={"type": "realtime", "audio": BOTH_PCMU})
        client.send("response.create")
        while len(client.times(DELTA)) < 8:
            await client.until(DELTA)
        speaking = asyncio.create_task(client.speak("stop"))
        done = await client.until("response.done")
        assert response(done)["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        [item] = cast("list[dict[str, object]]", response(done)["output"])
        client.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=16 * 40)
        await client.until("conversation.item.truncated")
        await client.until("response.done")
        await speaking

    play(brain([Say(story_text)], [Say("yes?")], asked=asked), story)
    assert asked[1] == [Say("once upon a time"), Heard("stop")]


def test_audio_comes_faster_than_real_time_after_the_models_delay(
    play: Play, brain: Callable[..., Brain]
) -> None:
    async def story(client: Client) -> None:
        await client.until("session.created")
        assert client.times("session.created") == [0.25]
        client.send("session.update", session={"type": "realtime", "audio": BOTH_PCMU})
        client.send("response.create")
        await client.until("response.done")
        first, *_, last = client.times(DELTA)
        assert first - client.times("response.created")[0] == pytest.approx(0.5)
        # 100 characters last 4 s: 20 deltas.
        assert len(client.times(DELTA)) == 20
        assert last - first == pytest.approx(3.8 / 4)
        assert client.times("response.done") == [last]
        kinds = [event["type"] for _, event in client.events]
        assert kinds.index("response.output_audio_transcript.delta") < kinds.index(DELTA)
        told = [
            str(e["delta"]) for _, e in client.events if e["type"] == "response.output_audio_transcript.delta"
        ]
        assert len(told) > 10
        assert "".join(told) == "1234 6789 " * 10

    settings = EmulatorSettings(connect_delay_ms=250, first_audio_delay_ms=500, delta_ms=200, speed=4)
    play(brain([Say("1234 6789 " * 10)]), story, settings=settings)


def test_a_response_can_be_cancelled_while_the_model_thinks(play: Play, brain: Callable[..., Brain]) -> None:
    async def story(client: Client) -> None:
        client.send("response.create")
        await client.until("response.created")
        client.send("response.cancel")
        done = await client.until("response.done")
        assert response(done)["output"] == []
        client.send("response.create")
        assert response(await client.until("response.done"))["status"] == "completed"
        assert len(client.times(DELTA)) > 0

    play(brain([Say("no")], [Say("yes")]), story)


def test_answers_in_text_and_answers_that_are_too_long(play: Play, brain: Callable[..., Brain]) -> None:
    async def story(client: Client) -> None:
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.output_text.done")
        await client.until("response.done")
        client.send("response.create", response={"max_output_tokens": 10})
        done = await client.until("response.done")
        assert response(done)["status"] == "incomplete"
        client.send("response.create", response={"output_modalities": ["text"], "max_output_tokens": 1})
        done = await client.until("response.done")
        assert response(done)["status"] == "incomplete"
        assert not client.times("error")

    play(brain([Say("a b")], [Say("word " * 20), CallTool("never", {})], [Say("word " * 20)]), story)


def test_a_silent_caller_is_spoken_to(play: Play, brain: Callable[..., Brain]) -> None:
    asked: list[History] = []

    async def story(client: Client) -> None:
        detection = {"type": "server_vad", "idle_timeout_ms": 5000}
        audio = {"input": {"format": PCMU, "turn_detection": detection}, "output": {"format": PCMU}}
        client.send("session.update", session={"type": "realtime", "audio": audio})
        client.send("response.create")
        done = await client.until("response.done")
        assert response(done)["status"] == "completed"
        await client.until("input_audio_buffer.timeout_triggered")
        triggered, finished = (
            client.times("input_audio_buffer.timeout_triggered")[0],
            client.times("response.done")[0],
        )
        assert triggered - finished == pytest.approx(5 + 5 * 0.04)
        await client.until("response.done")

    play(brain([Say("hello")], [Say("still there?")], asked=asked), story)
    assert asked[1] == [Say("hello"), Heard("")]


def test_a_brain_or_an_ear_that_fails_costs_one_answer(
    play: Play, brain: Callable[..., Brain], logged: list[str]
) -> None:
    class BadEar:
        def hear(self, pcm: bytes, sample_rate: int) -> str:
            raise RuntimeError("a secret word")

    async def story(client: Client) -> None:
        audio = BOTH_PCMU | {"input": {"format": PCMU, "transcription": {}}}
        client.send("session.update", session={"type": "realtime", "audio": audio})
        await client.speak("hello")
        await client.until("conversation.item.input_audio_transcription.failed")
        assert response(await client.until("response.done"))["status"] == "completed"
        client.send("response.create")
        assert response(await client.until("response.done"))["status"] == "failed"
        client.send("session.update", session={"type": "realtime"})
        await client.until("session.updated")

    failing = brain([Say("pardon?")])
    failing.ear = BadEar()
    play(failing, story)
    assert len(logged) == 2
    assert "secret" not in "".join(logged)


def test_a_session_has_an_end(play: Play, brain: Callable[..., Brain]) -> None:
    async def story(client: Client) -> None:
        await client.until("session.created")
        expired = await client.until("error")
        assert cast("dict[str, object]", expired["error"])["code"] == "session_expired"
        with pytest.raises(SocketClosedError) as closed:
            await client.next()
        assert closed.value.code == 1001
        assert closed.value.reason == "Your session hit the maximum duration of 0.5 minutes."

    play(brain(), story, settings=EmulatorSettings(max_duration_s=30))


class TestFaults:
    """Event 1 is session.created, 2 session.updated, 3 response.created, ..., 8 the first audio delta."""

    @pytest.fixture
    def received(self, play: Play, brain: Callable[..., Brain]) -> Callable[..., list[str | ServerEvent]]:
        """Gives the messages of a session that says something until it is closed or cancelled."""

        def run(*faults: Fault, cancel_at_delta: int = 0) -> list[str | ServerEvent]:
            messages: list[str | ServerEvent] = []

            async def story(client: Client) -> None:
                client.send("session.update", session={"type": "realtime"})
                client.send("response.create")
                deltas = 0
                with suppress(SocketClosedError, TimeoutError):
                    while True:
                        async with asyncio.timeout(10):
                            text = await client.socket.receive()
                        try:
                            event = cast("ServerEvent", json.loads(text))
                        except ValueError:
                            messages.append(str(text))
                            continue
                        messages.append(event)
                        client.events.append((asyncio.get_running_loop().time(), event))
                        deltas += event["type"] == DELTA
                        if event["type"] == DELTA and deltas == cancel_at_delta:
                            client.send("response.cancel")

            play(brain([Say("hello there")]), story, faults=faults)
            return messages

        return run

    def kinds(self, messages: list[str | ServerEvent]) -> list[str]:
        return [message if isinstance(message, str) else str(message["type"]) for message in messages]

    def test_none(self, received: Callable[..., list[str | ServerEvent]]) -> None:
        kinds = self.kinds(received())
        assert kinds[0] == "session.created"
        assert kinds[7] == DELTA
        assert kinds.count(DELTA) == 3
        assert kinds[-1] == "rate_limits.updated"

    def test_disconnect(self, received: Callable[..., list[str | ServerEvent]]) -> None:
        assert self.kinds(received(Disconnect(8)))[-1] == "response.output_audio_transcript.delta"

    def test_omit(self, received: Callable[..., list[str | ServerEvent]]) -> None:
        assert self.kinds(received(Omit(1)))[0] == "session.updated"

    def test_extra_messages(self, received: Callable[..., list[str | ServerEvent]]) -> None:
        faults = [SendError(8, code="server_error"), SendUnknownEvent(9), SendInvalidJson(9, "{")]
        kinds = self.kinds(received(*faults))
        assert kinds[7:9] == ["error", DELTA]
        assert kinds[9:11] == ["response.emulated_novelty", "{"]
        assert kinds[-1] == "rate_limits.updated"

    def test_duplicate(self, received: Callable[..., list[str | ServerEvent]]) -> None:
        deltas = [m for m in received(Duplicate(Nth(DELTA, 2))) if isinstance(m, dict) and m["type"] == DELTA]
        assert len(deltas) == 4
        assert deltas[1] == deltas[2]

    def test_late_delta(self, received: Callable[..., list[str | ServerEvent]]) -> None:
        kinds = self.kinds(received(LateDelta(), cancel_at_delta=1))
        assert kinds[-3:] == ["response.done", DELTA, "rate_limits.updated"]
        assert kinds.count(DELTA) == 2
        assert self.kinds(received(LateDelta())).count(DELTA) == 3

    def test_slow_deltas(self, play: Play, brain: Callable[..., Brain]) -> None:
        async def story(client: Client) -> None:
            client.send("response.create")
            await client.until("response.done")
            first, second, third = client.times(DELTA)
            assert second - first == pytest.approx(0.05 + 1)
            assert third - second == pytest.approx(0.05 + 1)
            assert first - client.times("response.created")[0] == pytest.approx(0.3)

        play(brain([Say("hello there")]), story, faults=[SlowDeltas(extra_ms=1000, from_delta=2)])
