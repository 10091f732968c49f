"""100,000 broken messages: only documented errors escape, and every good message behind them arrives."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import ErrorFrame

from callpipe.transports.bandwidth.errors import MalformedMessageError
from callpipe.transports.bandwidth.messages import MediaMessage, parse
from callpipe.transports.call_events import CarrierFaultFrame, MediaStoppedFrame
from callpipe.transports.frames import InputEncodedAudioFrame
from callpipe.transports.virtual_time import run_virtual

if TYPE_CHECKING:
    from .conftest import PlaceCall

FOLDER = Path(__file__).parents[2] / "packets" / "bandwidth"
PACKETS = [path.read_text() for path in sorted(FOLDER.glob("*.json")) if not path.name.startswith("webhook_")]
BASE64 = re.compile("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
KINDS = {"malformed", "oversized", "binary", "unknown"}

MESSAGES = 100_000
GOOD_EVERY = 100

VALUES: list[object] = [
    None, True, -1, 1e308, 10**40, "", "x", "=", "A" * 7, "\ud800", [], {}, [[]], "media", "start", "stop",
]  # fmt: skip


def cut(message: str, chance: random.Random) -> str:
    return message[: chance.randrange(len(message))]


def replaced(message: str, chance: random.Random) -> str:
    characters = list(message)
    for _ in range(chance.randint(1, 8)):
        characters[chance.randrange(len(characters))] = chr(
            chance.choice((0, 34, 92, 123, 125, 0xFFFD, 0x1F600))
        )
    return "".join(characters)


def doubled(message: str, chance: random.Random) -> str:
    at = chance.randrange(len(message))
    return message[:at] + message[at:] + message[at:]


def other_value(message: str, chance: random.Random) -> str:
    """Exchange one value somewhere in the message."""
    whole = json.loads(message)
    inner = whole
    while True:
        key = chance.choice(list(inner))
        if isinstance(inner[key], dict) and inner[key] and chance.random() < 0.7:
            inner = inner[key]
            continue
        if chance.random() < 0.3:
            del inner[key]
        else:
            inner[key] = chance.choice(VALUES)
        return json.dumps(whole, ensure_ascii=chance.random() < 0.5)


def nested(message: str, chance: random.Random) -> str:
    return message.replace("{", '{"x":' * chance.randint(1, 3_000) + "{", 1)


def bloated(message: str, chance: random.Random) -> str:
    return message.replace(":", ":" + " " * chance.choice((10, 70_000)), 1)


def binary(message: str, chance: random.Random) -> bytes:
    return chance.randbytes(20) + message.encode(errors="replace")


BREAKS: list[Callable[[str, random.Random], str | bytes]] = [
    cut, replaced, doubled, other_value, other_value, other_value, nested, bloated, binary,
]  # fmt: skip


def broken_messages(count: int, seed: int) -> Iterator[str | bytes]:
    chance = random.Random(seed)
    for _ in range(count):
        yield chance.choice(BREAKS)(chance.choice(PACKETS), chance)


def test_only_the_documented_error_escapes() -> None:
    outcomes = Counter[str]()
    longest = 0
    for message in broken_messages(MESSAGES, seed=1):
        try:
            parsed = parse(message)
        except MalformedMessageError as malformed:
            outcomes[malformed.kind] += 1
            longest = max(longest, len(malformed.explanation))
        else:
            outcomes["good"] += 1
            if isinstance(parsed, MediaMessage):
                assert parsed.audio == base64.b64decode(json.loads(message)["payload"], validate=True)
    assert set(outcomes) == KINDS | {"good"}
    assert outcomes["malformed"] > MESSAGES / 4
    assert longest < 100, "an explanation repeats content"


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


@settings(max_examples=1_000, deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=300))
def test_any_text_or_bytes(message: str | bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(message)
    assert caught.value.kind in KINDS


@settings(max_examples=1_000, deadline=None)
@given(st.text("AQ/+=-_ \n", max_size=12) | st.text(max_size=8) | st.binary(max_size=20).map(encoded))
def test_of_media_nothing_is_taken_but_base64(payload: str) -> None:
    message = json.dumps({"eventType": "media", "track": "inbound", "payload": payload})
    if payload and BASE64.fullmatch(payload):
        assert parse(message) == MediaMessage("inbound", base64.b64decode(payload))
    else:
        with pytest.raises(MalformedMessageError):
            parse(message)


def test_every_good_packet_among_broken_messages_arrives(place_call: PlaceCall) -> None:
    """The broken ones are of no packet and no stop, so that the good ones' positions can be told."""

    def harmless() -> Iterator[str | bytes]:
        for message in broken_messages(2 * MESSAGES, seed=2):
            try:
                parse(message)
            except MalformedMessageError:
                yield message

    async def scenario() -> None:
        async with place_call() as one:
            broken = harmless()
            for number in range(MESSAGES // GOOD_EVERY):
                for _ in range(GOOD_EVERY):
                    message = next(broken)
                    if isinstance(message, bytes):
                        one.phone.socket.send_binary(message)
                    else:
                        one.phone.socket.send(message)
                payload = base64.b64encode(number.to_bytes(2) * 80).decode()
                good = {"eventType": "media", "track": "inbound", "payload": payload, "sequenceNumber": number}
                one.phone.socket.send(json.dumps(good))
                await asyncio.sleep(0.02)
            await one.phone.socket.close()
            await asyncio.sleep(0.1)
            heard = [frame for _, frame in one.before.seen if isinstance(frame, InputEncodedAudioFrame)]
            assert [frame.position for frame in heard] == [
                160 * number for number in range(MESSAGES // GOOD_EVERY)
            ]
            assert [int.from_bytes(frame.encoded.audio[:2]) for frame in heard] == list(range(len(heard)))
            faults = [frame.kind for _, frame in one.before.seen if isinstance(frame, CarrierFaultFrame)]
            assert sorted(faults) == sorted(KINDS)
            counts = one.behind.only(MediaStoppedFrame).counts
            assert sum(counts[kind] for kind in KINDS) == MESSAGES
            assert one.before.times(ErrorFrame) == []

    run_virtual(scenario())
