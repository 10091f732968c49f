"""A cascade of stock services on the phone: barge-in, tools, context and journal tell what the caller heard."""

from __future__ import annotations

from typing import Any

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from callpipe.pipelines import Bot, Call, Pipeline
from callpipe.pipelines.cascade import cascade_call
from callpipe.pipelines.errors import PipelineFormatError
from callpipe.pipelines.records.journal import read_journal
from callpipe.pipelines.settings import Recording
from callpipe.pipelines.trials.phone import Phone
from callpipe.processors.cascade.scripted import ScriptedLLM, ToneSTT, ToneTTS, ToneVAD
from callpipe.processors.tools import end_call, tool
from callpipe.transports.bandwidth.emulator import Line
from callpipe.transports.call_events import BargeInFrame, BotTurnFrame, ToolCalledFrame
from callpipe.transports.realtime.emulator.brains import Script

pytest_plugins = ["callpipe.pipelines.pytest_plugin"]

GREETING = "Hotel Aurora, good evening."
LONG = "We have single rooms, double rooms and suites, all of them quiet. Breakfast is from seven to eleven."
SCRIPT = Script.parse(f"""
rules:
  - {{when: price, call: {{tool: room_price, arguments: {{nights: "2"}}}}}}
  - {{after: room_price, say: "That is {{euros}} euros."}}
  - {{when: rooms, say: "{LONG}"}}
  - {{when: bye, say: Goodbye., call: {{tool: end_call}}}}
""")


@tool
async def room_price(nights: int) -> dict[str, int]:
    """Tell what a room costs.

    Args:
        nights: For how many nights.
    """
    return {"euros": 80 * nights}


class Hotel:
    """A bot of stock services, and what its language model was given."""

    def __init__(self, *, tts_rate: int = 24_000, stt_rate: int | None = None, **cascade: Any) -> None:
        self.bot = Bot("hotel")
        self.bot.pipeline(self.build)
        self.contexts: list[LLMContext] = []
        self.rates = (stt_rate, tts_rate)
        self.cascade = cascade

    def build(self, call: Call) -> Pipeline:
        llm = ScriptedLLM(SCRIPT)
        answer = llm._answer  # pyright: ignore[reportPrivateUsage]

        async def watched(context: LLMContext) -> None:
            self.contexts.append(context)
            await answer(context)

        llm._answer = watched  # pyright: ignore[reportPrivateUsage]
        return cascade_call(
            call,
            stt=ToneSTT(sample_rate=self.rates[0]),
            llm=llm,
            tts=ToneTTS(sample_rate=self.rates[1]),
            vad=ToneVAD(),
            instructions="You answer for Hotel Aurora.",
            greeting=GREETING,
            tools=[room_price, end_call],
            **self.cascade,
        )

    def messages(self) -> list[tuple[str, str]]:
        messages: list[Any] = self.contexts[-1].messages
        return [(each["role"], each.get("content") or "") for each in messages]


@pytest.mark.parametrize("tts_rate", [8_000, 16_000, 24_000])
def test_a_conversation_with_a_tool(tts_rate: int, phone: Phone) -> None:
    hotel = Hotel(tts_rate=tts_rate)
    with phone.dial(hotel.bot, recording=Recording.ON) as call:
        call.expect(words=GREETING, within_ms=1_000)
        call.wait_for_bot()
        call.say("What is the price?")
        call.expect(tool="room_price", arguments={"nights": 2}, within_ms=3_000)
        call.expect(words="that is 160 euros", within_ms=3_000)
        call.wait_for_bot()
        call.say("bye")
        call.expect(words="goodbye")
        call.wait_for_hang_up()
    result = call.result
    assert result.understood == ["What is the price?", "bye"]
    assert [event.text for event in result.events if isinstance(event, BotTurnFrame)] == [
        GREETING,
        "That is 160 euros.",
        "Goodbye.",
    ]
    assert hotel.messages()[:3] == [
        ("system", "You answer for Hotel Aurora."),
        ("assistant", GREETING),
        ("user", "What is the price?"),
    ]
    journal = [event["event"] for event in read_journal(result.folder / "journal.jsonl")]
    assert [name for name in journal if name in ("caller_turn", "bot_turn", "tool_call", "barge_in")] == [
        "bot_turn",
        "caller_turn",
        "tool_call",
        "bot_turn",
        "caller_turn",
        "tool_call",
        "bot_turn",
    ]
    assert "Bot: That is 160 euros." in (result.folder / "transcript.txt").read_text()
    assert (result.folder / "recording.wav").stat().st_size > 16_000 * 4
    (price, _) = [event for event in result.events if isinstance(event, ToolCalledFrame)]
    assert (price.outcome, price.output) == ("ok", '{"result":{"euros":160}}')


@pytest.mark.parametrize("line", [Line(), Line(one_way_ms=80, jitter_ms=20)])
def test_a_barge_in_leaves_in_the_context_what_was_heard(line: Line, phone: Phone) -> None:
    hotel = Hotel()
    with phone.dial(hotel.bot, line=line) as call:
        call.wait_for_bot()
        call.say("Tell me about your rooms")
        call.cut_in("What is the price?", after_ms=1_500)
        call.expect(bot="quiet", within_ms=700)
        call.expect(words="that is 160 euros")
    result = call.result
    (barge_in,) = [event for event in result.events if isinstance(event, BargeInFrame)]
    (cut,) = result.report.cuts
    assert abs(barge_in.believed_ms - cut.heard_ms) <= 40 + 2 * line.one_way_ms
    turn = [event for event in result.events if isinstance(event, BotTurnFrame)][1]
    assert turn.interrupted
    assert turn.text == LONG
    assert LONG.startswith(turn.heard_text)
    heard_characters = barge_in.believed_ms / 40
    assert heard_characters - 12 <= len(turn.heard_text) <= heard_characters + 4
    kept = [content for role, content in hotel.messages() if role == "assistant"]
    assert turn.heard_text.startswith(kept[1])
    assert len(turn.heard_text.split()) - len(kept[1].split()) <= 1
    result.assert_not_heard("breakfast")


def test_the_bots_author_steers_a_cascade_too(phone: Phone) -> None:
    calls: list[Call] = []
    hotel = Hotel()
    built = hotel.build

    def build(call: Call) -> Pipeline:
        calls.append(call)
        return built(call)

    hotel.bot.pipeline(build)
    with phone.dial(hotel.bot) as call:
        call.wait_for_bot()
        call._time.run(calls[-1].say("One moment please."))  # pyright: ignore[reportPrivateUsage]
        call.expect(words="one moment please")
        call._time.run(calls[-1].tell("The pool is closed."))  # pyright: ignore[reportPrivateUsage]
        call.say("price")
        call.expect(words="160 euros")
        call._time.run(calls[-1].end())  # pyright: ignore[reportPrivateUsage]
        call.wait_for_hang_up()
    assert ("system", "The pool is closed.") in hotel.messages()
    assert call.result.ended_by == "bot"


def test_a_caller_who_hangs_up_in_the_middle_ends_the_call(phone: Phone) -> None:
    with phone.dial(Hotel().bot) as call:
        call.stay_silent(700)
        call.hang_up()
    (turn,) = [event for event in call.result.events if isinstance(event, BotTurnFrame)]
    assert turn.heard_text != turn.text
    assert call.result.logged == []


@pytest.mark.parametrize(
    ("rates", "sentence"),
    [
        (
            {"stt_rate": 16_000},
            "ToneSTT does not fit behind MulawDecoder: the caller's audio arrives as PCM 8 kHz, and PCM 16 kHz"
            " is taken; put Resampler(16000) between them",
        ),
        ({"tts_rate": 48_000}, "Resampler does not fit behind ToneTTS: the bot's audio arrives as PCM 48 kHz"),
    ],
)
def test_a_service_at_another_rate_is_refused_in_one_sentence(
    rates: dict[str, Any], sentence: str, phone: Phone
) -> None:
    with pytest.raises(PipelineFormatError) as refused:
        phone.follow(Hotel(**rates).bot, [])
    assert sentence in str(refused.value)
