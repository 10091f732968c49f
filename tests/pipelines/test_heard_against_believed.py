"""What the model holds the caller to have heard is what the caller heard, whenever they cut in."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from callpipe.pipelines import Call, Pipeline, passthrough_call, realtime_call
from callpipe.transports.audio.formats import PCM_24K, PCMU_8K, AudioFormat
from callpipe.transports.bandwidth.emulator import CallerScript, Line
from callpipe.transports.bandwidth.emulator.script import HangUp, Say, Silence, Step
from callpipe.transports.call_events import BargeInFrame
from callpipe.transports.realtime.emulator.served_session import EmulatorSettings
from callpipe.transports.realtime.emulator.session_log import SessionLog

from .virtual_call import HeldCall, Scene, sentences

JITTER_MS = 30
PREBUFFER_MS = 60
TOLERANCE_MS = 40
CUT_IN = "Stop it"
SHORTEST_PAUSE_MS = 540
"""The caller's words are a turn of their own when 500 ms of silence follow."""
FIRST_HEARD_AFTER_MS = 790
"""Who speaks after so long a silence cuts the answer off at its first audio: the model waits for 500 ms of
silence and 300 ms more, is 40 ms away there and back, and takes 50 ms to find speech.

What the caller's line takes falls out: the answer and the words that cut it off both cross it there and back.
"""


@dataclass
class Item:
    """One answer, as both ends know it."""

    began_at: float
    generated_ms: float
    believed_ms: float
    heard_ms: float = 0.0


def realtime(call: Call) -> Pipeline:
    return realtime_call(call, instructions="Recite.")


def passthrough(call: Call) -> Pipeline:
    return passthrough_call(call, instructions="Recite.")


def interrupted_call(build: Callable[[Call], Pipeline], line: Line, barge_ins: int, seed: int) -> Scene:
    """A caller who keeps saying something short, each time at a random moment of the answer to it."""
    moments = random.Random(seed)
    durations_ms = [moments.randrange(3_000, 4_400, 40) for _ in range(barge_ins)]
    steps: list[Step] = [Silence(ms=500)]
    for number, duration_ms in enumerate(durations_ms):
        steps.append(Say(text=CUT_IN))
        match number % 10:
            case 0:
                moment_ms = moments.uniform(-200, 100)
            case 1:
                moment_ms = duration_ms + moments.uniform(-150, 100)
            case _:
                moment_ms = moments.uniform(0, duration_ms)
        steps.append(Silence(ms=max(SHORTEST_PAUSE_MS, FIRST_HEARD_AFTER_MS + moment_ms)))
    # A prebuffer acts on short pieces only: longer ones fill it at once.
    model = EmulatorSettings(delta_ms=30 if line.prebuffer_ms else 150)
    steps += [Say(text=CUT_IN), Silence(ms=600), HangUp()]
    script = CallerScript.model_construct(steps=tuple(steps))
    return Scene(script, sentences(durations_ms, seed), build, line=line, model=model)


def items_of(call: HeldCall, audio_format: AudioFormat) -> list[Item]:
    """Every answer with audio, oldest first."""
    items = generated(call.model, audio_format)
    for burst in call.report.bursts:
        latest = max((item for item in items.values() if item.began_at <= burst.started_at), key=began_at)
        latest.heard_ms += burst.heard_ms
    cuts = call.model.client_events("conversation.item.truncate")
    told = {str(cut.event["item_id"]): cut.event["audio_end_ms"] for cut in cuts}
    for deleted in call.model.client_events("conversation.item.delete"):
        told[str(deleted.event["item_id"])] = 0
    for item_id, believed_ms in told.items():
        assert isinstance(believed_ms, int)
        items[item_id].believed_ms = believed_ms
    for barge_in in call.events:
        if isinstance(barge_in, BargeInFrame):
            assert barge_in.believed_ms == told[barge_in.item_id]
    return sorted(items.values(), key=began_at)


def generated(model: SessionLog, audio_format: AudioFormat) -> dict[str, Item]:
    """The items as the model's conversation holds them before anybody corrects it."""
    items: dict[str, Item] = {}
    for delta in model.server_events("response.output_audio.delta"):
        duration_ms = audio_format.duration_ms(delta.audio_bytes * 3 // 4)
        item = items.setdefault(str(delta.event["item_id"]), Item(delta.at, 0.0, 0.0))
        item.generated_ms += duration_ms
        item.believed_ms += duration_ms
    return items


def began_at(item: Item) -> float:
    return item.began_at


def furthest_off_ms(call: HeldCall, items: Sequence[Item]) -> float:
    """By how much the model is wrong at the worst, in a call in which all else went well."""
    assert call.reason == "caller"
    assert call.report.protocol_errors == []
    assert call.model.server_events("error") == []
    worst_ms = max(abs(item.believed_ms - item.heard_ms) for item in items)
    print(f"{len(call.report.cuts)} of {len(items)} answers cut, {worst_ms:.1f} ms off at the worst")
    return worst_ms


@pytest.mark.parametrize("prebuffer_ms", [0, PREBUFFER_MS])
@pytest.mark.parametrize("one_way_ms", [0, 80, 150])
@pytest.mark.parametrize(
    ("build", "audio_format", "barge_ins"), [(realtime, PCM_24K, 200), (passthrough, PCMU_8K, 50)]
)
def test_the_model_believes_what_the_caller_heard(
    build: Callable[[Call], Pipeline],
    audio_format: AudioFormat,
    barge_ins: int,
    one_way_ms: int,
    prebuffer_ms: int,
) -> None:
    line = Line(one_way_ms=one_way_ms, jitter_ms=JITTER_MS, prebuffer_ms=prebuffer_ms, seed=one_way_ms)
    call = interrupted_call(build, line, barge_ins, seed=one_way_ms + prebuffer_ms).hold()
    items = items_of(call, audio_format)
    half_round_trip_ms = one_way_ms + JITTER_MS / 2  # what a packet takes on average
    assert furthest_off_ms(call, items) <= TOLERANCE_MS + half_round_trip_ms

    # What was shown: most cut in, some of them before the first audio or at the very end.
    assert len(call.report.cuts) > 0.8 * barge_ins
    answers = len(call.model.server_events("response.created"))
    assert answers > len(items) or any(item.heard_ms < 100 for item in items)
    assert any(0 < item.generated_ms - item.heard_ms < 150 for item in items)


@pytest.mark.parametrize(("prebuffer_ms", "delta_ms"), [(100, 30), (200, 30), (200, 150), (400, 150)])
def test_a_prebuffer_the_playhead_is_told_of_costs_nothing_however_long(
    prebuffer_ms: int, delta_ms: float
) -> None:
    line = Line(jitter_ms=JITTER_MS, prebuffer_ms=prebuffer_ms, seed=prebuffer_ms)
    scene = interrupted_call(passthrough, line, 50, seed=prebuffer_ms)
    model = EmulatorSettings(delta_ms=delta_ms)
    call = replace(scene, model=model, told_prebuffer_ms=prebuffer_ms).hold()
    assert furthest_off_ms(call, items_of(call, PCMU_8K)) <= JITTER_MS + 1
