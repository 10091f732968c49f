from __future__ import annotations

import base64
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callpipe.transports.audio.formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat
from callpipe.transports.bandwidth.emulator.errors import ServerMessageError
from callpipe.transports.bandwidth.emulator.media_messages import (
    Clear,
    PlayAudio,
    StreamDescription,
    media_message,
    parse_server_message,
    start_message,
    stop_message,
)

STREAM = StreamDescription("5500001", "c-1", "s-1", "main", ("inbound",))
PCM = "audio/pcm;rate={};channels=1;bit-depth=16;endian=little;encoding=signed"


def play(content_type: object = "audio/pcmu", payload: object = "/////w==") -> str:
    return json.dumps({"eventType": "playAudio", "media": {"contentType": content_type, "payload": payload}})


def test_writes_what_the_facts_say() -> None:
    metadata = {
        "accountId": 5500001,
        "callId": "c-1",
        "streamId": "s-1",
        "streamName": "main",
        "tracks": [{"name": "inbound", "mediaFormat": {"encoding": "audio/PCMU", "sampleRate": 8000}}],
    }
    assert json.loads(start_message(STREAM, {"token": 'a"b'})) == {
        "eventType": "start",
        "metadata": metadata,
        "streamParams": {"token": 'a"b'},
    }
    assert "streamParams" not in json.loads(start_message(STREAM, {}))
    assert json.loads(stop_message(STREAM)) == {"eventType": "stop", "metadata": metadata}
    assert json.loads(media_message("inbound", b"\x00\xff", 7)) == {
        "eventType": "media",
        "track": "inbound",
        "payload": base64.b64encode(b"\x00\xff").decode(),
        "sequenceNumber": "7",
    }


@pytest.mark.parametrize(
    ("content_type", "audio_format"),
    [
        ("audio/pcmu", PCMU_8K),
        ("audio/PCMU", PCMU_8K),
        (PCM.format(8000), PCM_8K),
        (PCM.format(16000), PCM_16K),
        ("audio/pcm; encoding=signed; rate=24000; endian=little; bit-depth=16; channels=1", PCM_24K),
    ],
)
def test_reads_every_content_type(content_type: str, audio_format: AudioFormat) -> None:
    assert parse_server_message(play(content_type)) == PlayAudio(b"\xff\xff\xff\xff", audio_format)


def test_reads_clear() -> None:
    assert parse_server_message('{"eventType":"clear"}') == Clear()


@pytest.mark.parametrize(
    ("message", "explanation"),
    [
        (b'{"eventType":"clear"}', "binary"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "eventType"),
        ('{"eventType":["clear"]}', "eventType"),
        ('{"eventType":"mark"}', "eventType"),
        ('{"eventType":"playAudio"}', "media"),
        ('{"eventType":"playAudio","media":[]}', "media"),
        (play(None), "contentType"),
        (play("audio/wav"), "contentType"),
        (play(PCM.format(8000).replace("audio/pcm", "audio/wav")), "neither audio/pcmu nor audio/pcm"),
        (play(PCM.format(8000).replace("audio/pcm", "audio/l16")), "neither audio/pcmu nor audio/pcm"),
        (play("audio/pcmu;rate=8000"), "contentType"),
        (play("audio/pcm"), "rate"),
        (play(PCM.format(44100)), "rate"),
        (play(PCM.format(8000).replace("little", "big")), "little-endian"),
        (play("audio/pcm;rate=8000"), "16-bit"),
        (play(payload=None), "payload"),
        (play(payload=""), "payload"),
        (play(payload="not base64!"), "base64"),
        (play(payload="////!!!!"), "base64"),
        (play(payload="\udc80"), "base64"),
        (play(PCM.format(8000), "////"), "sample"),
        (play(payload="A" * 4_200_000), "4200"),
    ],
)
def test_refuses_everything_else_and_says_why(message: str | bytes, explanation: str) -> None:
    with pytest.raises(ServerMessageError) as refused:
        parse_server_message(message)
    assert explanation in refused.value.explanation


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
content_types = st.sampled_from(["audio/pcmu", PCM.format(24000), "audio/pcm;rate=8000;=;;"]) | json_values
media = st.fixed_dictionaries({}, optional={"contentType": content_types, "payload": json_values}) | json_values
messages = st.one_of(
    st.fixed_dictionaries(
        {"eventType": st.sampled_from(["playAudio", "clear"]) | json_values}, optional={"media": media}
    ).map(json.dumps),
    st.text(max_size=30),
    st.binary(max_size=10),
)


@settings(max_examples=4_000, deadline=None)
@given(messages)
@example('{"eventType":"playAudio","media":{"contentType":"audio/pcmu","payload":"' + "1" * 5_000 + '"}}')
@example("1" * 5_000)
def test_whatever_a_server_sends_only_the_documented_error_escapes(message: str | bytes) -> None:
    try:
        parsed = parse_server_message(message)
    except ServerMessageError:
        return
    assert isinstance(parsed, PlayAudio | Clear)
