"""What is received of a media stream: positions by the sequence, order, counts, and one report of each kind."""

import base64
import json
from typing import Any

import pytest
from pipecat.frames.frames import Frame

from callpipe.transports.bandwidth.messages import StartMessage
from callpipe.transports.bandwidth.stream import MediaStream
from callpipe.transports.call_events import MediaStartedFrame, MediaStoppedFrame
from callpipe.transports.frames import InputEncodedAudioFrame

MAX_LATE_IN_A_ROW = 10

START = StartMessage(account_id="a", call_id="c", stream_id="s", stream_name="n")


def media(sequence: object = None, *, number: int = 0, size: int = 160, track: str = "inbound") -> str:
    payload = base64.b64encode(bytes([number]) * size).decode()
    message: dict[str, Any] = {"eventType": "media", "track": track, "payload": payload}
    return json.dumps(message | ({} if sequence is None else {"sequenceNumber": sequence}))


def positions(stream: MediaStream, *messages: str) -> list[int | None]:
    """Return each message's position, None where it makes no audio."""
    frames = [stream.receive(message, 1.0) for message in messages]
    return [frame.position if isinstance(frame, InputEncodedAudioFrame) else None for frame in frames]


def kinds(stream: MediaStream) -> list[str]:
    return [fault.kind for fault in stream.faults]


def test_a_packet_keeps_its_payload_undecoded_and_its_time() -> None:
    message = media(1, number=7)
    frame = MediaStream(START).receive(message, 12.5)
    assert isinstance(frame, InputEncodedAudioFrame)
    assert frame.encoded.payload == json.loads(message)["payload"]
    assert frame.encoded.audio == bytes([7]) * 160
    assert frame.received_at == 12.5


def test_positions_count_samples_with_and_without_a_sequence() -> None:
    assert positions(MediaStream(START), media(), media(), media(size=80), media()) == [0, 160, 320, 400]
    assert positions(MediaStream(START), media("7"), media(8), media("9")) == [0, 160, 320]
    assert positions(MediaStream(START), media(1), media(), media(3)) == [0, 160, 320]


def test_lost_packets_take_their_place() -> None:
    stream = MediaStream(START)
    assert positions(stream, media(1), media(4), media(5)) == [0, 480, 640]
    assert (stream.counts["packets"], stream.counts["lost"]) == (3, 2)
    assert kinds(stream) == ["lost"]


def test_late_and_double_packets_are_dropped() -> None:
    stream = MediaStream(START)
    assert positions(stream, media(1), media(3), media(2), media(3), media(4)) == [0, 320, None, None, 480]
    assert stream.counts == {
        "packets": 3, "lost": 1, "late": 2, "ignored": 0,
        "malformed": 0, "oversized": 0, "binary": 0, "unknown": 0, "out-of-order": 0,
    }  # fmt: skip
    assert kinds(stream) == ["lost", "late"]


@pytest.mark.parametrize("jump", [10_000, -10_000, 10**30])
def test_a_sequence_that_jumps_makes_no_silence(jump: int) -> None:
    stream = MediaStream(START)
    first, second, third = 20_000, 20_001 + jump, 20_002 + jump
    assert positions(stream, media(first), media(second), media(third)) == [0, 160, 320]
    assert stream.counts["lost"] == 0
    assert kinds(stream) == ["lost"]


def test_a_gap_of_ten_seconds_is_still_a_loss() -> None:
    stream = MediaStream(START)
    assert positions(stream, media(1), media(502)) == [0, 160 + 500 * 160]
    assert stream.counts["lost"] == 500


def test_a_sequence_that_begins_anew_is_followed_after_a_moment() -> None:
    stream = MediaStream(START)
    positions(stream, *(media(number) for number in range(1, 101)))
    again = positions(stream, *(media(number) for number in range(1, 31)))
    assert again[: MAX_LATE_IN_A_ROW + 2] == [None] * MAX_LATE_IN_A_ROW + [16_000, 16_160]
    assert stream.counts["late"] == MAX_LATE_IN_A_ROW


def test_late_packets_now_and_then_stay_late() -> None:
    stream = MediaStream(START)
    for number in range(1, 41):
        assert positions(stream, media(number), media(number)) == [160 * (number - 1), None]
    assert stream.counts["late"] == 40


def test_only_the_inbound_track_is_heard() -> None:
    stream = MediaStream(START)
    assert positions(stream, media(1, track="outbound"), media(1), media(2, track="x")) == [None, 0, None]
    assert stream.counts["ignored"] == 2
    assert stream.faults == []


def test_messages_out_of_order_are_counted_and_the_stream_goes_on() -> None:
    stream = MediaStream()
    start = '{"eventType":"start","metadata":{"callId":"c","streamId":"s","streamName":"n"}}'

    def types(*messages: str) -> list[type[Frame] | None]:
        frames = [stream.receive(message, 1.0) for message in messages]
        return [None if frame is None else type(frame) for frame in frames]

    assert types(media(1), '{"eventType":"stop"}', start, start, media(1), '{"eventType":"stop"}') == [
        None, None, MediaStartedFrame, None, InputEncodedAudioFrame, MediaStoppedFrame,
    ]  # fmt: skip
    assert types(media(2), start, '{"eventType":"stop"}') == [None, None, None]
    assert stream.counts["out-of-order"] == 6
    assert kinds(stream) == ["out-of-order"]


def test_the_stop_tells_all_counts() -> None:
    stream = MediaStream(START)
    for wrong in ("x", b"x", "y", '{"eventType":"mark"}', "z" * 100_000):
        assert stream.receive(wrong, 2.0) is None
    stopped = stream.receive('{"eventType":"stop"}', 3.0)
    assert isinstance(stopped, MediaStoppedFrame)
    assert (stopped.cause, stopped.at) == ("stop", 3.0)
    assert stopped.counts == {
        "packets": 0, "lost": 0, "late": 0, "ignored": 0,
        "malformed": 2, "oversized": 1, "binary": 1, "unknown": 1, "out-of-order": 0,
    }  # fmt: skip
    assert kinds(stream) == ["malformed", "binary", "unknown", "oversized"]
