"""Messages of the media socket, by golden packets and by what may be wrong with them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat, Encoding
from callpipe.transports.bandwidth.errors import (
    MalformedMessageError,
    PlayoutFormatError,
)
from callpipe.transports.bandwidth.messages import (
    CLEAR,
    MediaFormat,
    MediaMessage,
    StartMessage,
    StopMessage,
    Track,
    parse,
    play_audio,
)

MAX_MESSAGE_BYTES = 64 * 1024

PACKETS = Path(__file__).parents[2] / "packets" / "bandwidth"


def packet(name: str) -> str:
    return (PACKETS / f"{name}.json").read_text()


def payload() -> str:
    return json.loads(packet("media"))["payload"]


def test_start() -> None:
    assert parse(packet("start")) == StartMessage(
        account_id="9900000",
        call_id="c-93d6f3c0-be5c-4c0a-8f2a-1",
        stream_id="s-2b6f",
        stream_name="bot.1",
        tracks=(Track("inbound", MediaFormat("audio/PCMU", 8000)),),
        params={"generation": "1", "language": "en"},
    )


def test_start_takes_the_stream_id_for_a_name_and_no_params_for_none() -> None:
    start = parse(packet("start_minimal"))
    assert start == StartMessage(account_id="9900000", call_id="c-1", stream_id="s-1", stream_name="s-1")


@pytest.mark.parametrize(
    ("name", "track", "sequence"),
    [
        ("media", "inbound", 1),
        ("media_sequence_is_a_number", "inbound", 41),
        ("media_without_sequence", "outbound", None),
    ],
)
def test_media(name: str, track: str, sequence: int | None) -> None:
    assert parse(packet(name)) == MediaMessage(track, base64.b64decode(payload()), sequence)


def test_stop_with_and_without_metadata() -> None:
    assert parse(packet("stop")) == StopMessage("c-93d6f3c0-be5c-4c0a-8f2a-1", "s-2b6f", "bot.1")
    assert parse('{"eventType":"stop"}') == StopMessage()


MEDIA: dict[str, Any] = {"eventType": "media", "track": "inbound", "payload": "////"}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("malformed", ""),
        ("malformed", "not JSON, but secret words"),
        ("malformed", "[]"),
        ("malformed", "7"),
        ("malformed", "{}"),
        ("malformed", '{"eventType":7}'),
        ("malformed", '{"eventType":"media"'),
        ("malformed", '{"eventType":"start"}'),
        ("malformed", '{"eventType":"start","metadata":{"callId":"secret"}}'),
        ("malformed", '{"eventType":"start","metadata":{"callId":1,"streamId":"s"}}'),
        ("malformed", json.dumps(MEDIA | {"payload": 1})),
        ("malformed", json.dumps(MEDIA | {"payload": "secret!!"})),
        ("malformed", json.dumps(MEDIA | {"payload": "abc"})),
        ("malformed", json.dumps(MEDIA | {"payload": "a=bc"})),
        ("malformed", json.dumps(MEDIA | {"payload": "===="})),
        ("malformed", json.dumps(MEDIA | {"payload": ""})),
        ("malformed", json.dumps(MEDIA | {"payload": "äöüß"}, ensure_ascii=False)),
        ("malformed", json.dumps(MEDIA | {"sequenceNumber": "secret"})),
        ("malformed", json.dumps(MEDIA | {"sequenceNumber": [1]})),
        ("malformed", json.dumps(MEDIA | {"track": None})),
        ("malformed", '{"eventType":"\ud800"}'),
        ("malformed", '{"x":' * 10_000),
        ("malformed", "[" * 60_000),
        ("unknown", '{"eventType":"secret"}'),
        ("unknown", '{"eventType":"mark","name":"secret"}'),
        ("unknown", packet("clear")),
        ("binary", b"\x00secret"),
        ("binary", packet("media").encode()),
        ("oversized", json.dumps(MEDIA | {"payload": "A" * MAX_MESSAGE_BYTES})),
    ],
)
def test_a_wrong_message_is_told_by_its_kind_and_never_repeated(kind: str, message: str | bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(message)
    assert caught.value.kind == kind
    assert "secret" not in str(caught.value)
    assert caught.value.fault == "carrier"


def test_no_content_is_in_a_repr() -> None:
    assert payload() not in repr(parse(packet("media")))
    assert "language" not in repr(parse(packet("start")))


def test_unknown_fields_are_passed_over() -> None:
    assert parse(json.dumps(MEDIA | {"chunk": {"deep": [1, None]}})) == MediaMessage("inbound", b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("name", "audio_format"),
    [
        ("play_audio_pcm_8000", PCM_8K),
        ("play_audio_pcm_16000", PCM_16K),
        ("play_audio_pcm_24000", PCM_24K),
    ],
)
def test_play_audio_in_pcm(name: str, audio_format: AudioFormat) -> None:
    assert play_audio(b"\0\0\xff\x7f\0\x80", audio_format).decode() == packet(name).rstrip()


def test_play_audio_in_pcmu() -> None:
    audio = base64.b64decode(payload())
    assert play_audio(audio, PCMU_8K).decode() == packet("play_audio_pcmu").rstrip()
    assert play_audio(audio, AudioFormat(Encoding.PCMU, 8000)) == play_audio(audio, PCMU_8K)


def test_clear() -> None:
    assert packet("clear").rstrip() == CLEAR.decode()


@pytest.mark.parametrize(
    "audio_format",
    [
        AudioFormat(Encoding.PCM, 44_100),
        AudioFormat(Encoding.PCM, 8_000, 2),
        AudioFormat(Encoding.PCMA, 8_000),
        AudioFormat(Encoding.PCMU, 16_000),
    ],
)
def test_play_audio_refuses_other_formats_by_name(audio_format: AudioFormat) -> None:
    with pytest.raises(PlayoutFormatError, match=str(audio_format)) as caught:
        play_audio(b"\xff\xff", audio_format)
    assert caught.value.fault == "bot author"
