"""What server and runners tell each other comes through as it was, and nothing else does."""

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.ongoing import Apologise, Generation, HangUp, OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.runners.messages import (
    Abandon,
    Beat,
    BrokenDatagramError,
    Drain,
    End,
    FromRunner,
    FromServer,
    Held,
    Media,
    Prepare,
    Prepared,
    Ready,
    Spent,
    Told,
    encode,
    from_runner,
    from_server,
)

CALL = OngoingCall(
    "c-1",
    "a",
    Parties("+15550001111", "+15550002222", "inbound"),
    12.5,
    [
        Generation(1, 12.5, started=True, ended_at=20.0, intent=Apologise("gone")),
        Generation(2, 21.0, intent=HangUp()),
    ],
    {"initiate.1": "<Response>ü</Response>"},
    deaths=1,
)
HELD = Held("c-1", 2, started=True, intent=HangUp(), ended="caller")

FROM_SERVER: list[FromServer] = [
    Prepare(CALL),
    Media(CALL, received=b"GET / HTTP/1.1\r\n\r\n\n\xff\x00\n"),
    Media(CALL),
    Abandon("c-1"),
    End("c-1", "over"),
    Drain(600.0),
    Spent(1.25),
]

FROM_RUNNER: list[FromRunner] = [
    Ready(BotProfile("a", "v1", (), 3), 2, 4, (HELD, Held("c-2", 1))),
    Prepared(HELD),
    Told(Held("c-1", 2)),
    Beat(3.0, 4.0, 5.0, 6, 7, 7.5),
]


@pytest.mark.parametrize("message", FROM_SERVER, ids=lambda message: type(message).__name__)
def test_what_a_server_says_comes_through(message: FromServer) -> None:
    assert from_server(encode(message)) == message


@pytest.mark.parametrize("message", FROM_RUNNER, ids=lambda message: type(message).__name__)
def test_what_a_runner_says_comes_through(message: FromRunner) -> None:
    assert from_runner(encode(message)) == message


@pytest.mark.parametrize("message", FROM_SERVER, ids=lambda message: type(message).__name__)
def test_a_runner_does_not_speak_as_a_server(message: FromServer) -> None:
    with pytest.raises(BrokenDatagramError):
        from_runner(encode(message))


@pytest.mark.parametrize("message", FROM_RUNNER, ids=lambda message: type(message).__name__)
def test_a_server_does_not_speak_as_a_runner(message: FromRunner) -> None:
    with pytest.raises(BrokenDatagramError):
        from_server(encode(message))


def test_what_is_broken_is_told_without_its_words() -> None:
    call = json.loads(encode(Prepare(CALL)))
    call["call"]["generations"] = "+15550001111"
    with pytest.raises(BrokenDatagramError) as broken:
        from_server(json.dumps(call).encode())
    assert "555" not in str(broken.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_broken(datagram: bytes) -> None:
    for read in (from_server, from_runner):
        with suppress(BrokenDatagramError):
            read(datagram)


@given(st.sampled_from([*FROM_SERVER, *FROM_RUNNER]), st.data())
def test_a_datagram_changed_anywhere_is_a_message_or_broken(
    message: FromServer | FromRunner, drawn: st.DataObject
) -> None:
    datagram = bytearray(encode(message))
    for _ in range(drawn.draw(st.integers(1, 4))):
        datagram[drawn.draw(st.integers(0, len(datagram) - 1))] = drawn.draw(st.integers(0, 255))
    cut = bytes(datagram[: drawn.draw(st.integers(0, len(datagram)))])
    for read in (from_server, from_runner):
        for changed in (bytes(datagram), cut):
            with suppress(BrokenDatagramError):
                read(changed)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["prepare", "media", "end", "drain", "ready", "told", "beat", "spent"])},
        optional={
            name: st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "a", "kind"]),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["", "a", "kind"]), inner, max_size=3)
                ),
                max_leaves=5,
            )
            for name in ("call", "call_id", "reason", "deadline_s", "held", "bot", "revision", "live")
        },
    )
)
def test_json_of_any_shape_is_a_message_or_broken(shape: dict[str, object]) -> None:
    datagram = json.dumps(shape).encode()
    for read in (from_server, from_runner):
        with suppress(BrokenDatagramError):
            read(datagram)
