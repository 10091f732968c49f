"""A pipeline of any speech-to-text, language and text-to-speech services that pipecat has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.audio.vad.vad_analyzer import VADAnalyzer
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregator,
    LLMUserAggregatorParams,
    UserTurnMessageAddedMessage,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from callpipe.processors.cascade import CascadeHead, HeardText
from callpipe.processors.mulaw import MulawDecoder, MulawEncoder
from callpipe.processors.resampler import Resampler
from callpipe.processors.tools import Tool
from callpipe.processors.tools.answer import Answer
from callpipe.transports.call_events import CallerTurnFrame, ToolCalledFrame

from .call import Call
from .pipeline import Pipeline
from .ready_made import Tools, recorder

PAUSE_S = 0.6
"""How long the caller has to be quiet for their turn to be over."""


def cascade_call(
    call: Call,
    *,
    stt: STTService,
    llm: LLMService[Any],
    tts: TTSService,
    instructions: str,
    tools: Tools = (),
    greeting: str | None = None,
    vad: VADAnalyzer | None = None,
    turns: UserTurnStrategies | None = None,
    before_llm: Sequence[FrameProcessor] = (),
) -> Pipeline:
    """Return a chain of stock services between the transport and the recorder, at 8 kHz.

    The context has what the caller has heard of the bot's words, also when they cut in; the journal has the
    turns, the barge-ins and the tool calls. `call.say` and `call.tell` work, and a barge-in cancels a running
    tool, as pipecat does.

    Args:
        call: The call.
        stt: Writes down what the caller says. Without a sample rate of its own it gets 8 kHz.
        llm: Answers.
        tts: Speaks, at 8, 16 or 24 kHz.
        instructions: What the language model is told to be and do.
        tools: The `@tool` functions it may call.
        greeting: What the bot says first; None lets the caller speak first.
        vad: Finds the caller's speech, for barge-in and for services that take it in segments; None where `stt`
            tells of the turns itself.
        turns: When the caller's turn begins and ends; by default with speech, and with 0.6 s without.
        before_llm: Further processors between the caller's words and the language model, such as filters.

    Raises:
        PipelineFormatError: A service's sample rate does not fit.
        ToolDefinitionError: A function can't be a tool.
    """
    scribe = HeardText(call.clock)
    journaled = _Journaled(call, scribe)
    made = [one if isinstance(one, Tool) else Tool(one) for one in tools]
    known = ToolsSchema([journaled.schema(tool) for tool in made])
    context = LLMContext([{"role": "system", "content": instructions}], tools=known)
    pause = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=PAUSE_S)
    strategies = turns or UserTurnStrategies(stop=[pause])
    pair = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(user_turn_strategies=strategies, vad_analyzer=vad)
    )
    user, assistant = pair.user(), pair.assistant()
    user.add_event_handler("on_user_turn_message_added", journaled.caller_said)  # pyright: ignore[reportUnknownMemberType]
    language: FrameProcessor = llm
    language: FrameProcessor = llm
    return Pipeline(
        [
            call.transport.input(),
            CascadeHead(greeting),
            MulawDecoder(),
            stt,
            user,
            *before_llm,
            language,
            tts,
            scribe,
            *recorder(call),
            Resampler(8_000),
            MulawEncoder(),
            call.transport.output(),
            assistant,
        ]
    )


class _Journaled:
    """Tells the journal what stock services have no frames for."""

    def __init__(self, call: Call, scribe: HeardText) -> None:
        self._call = call
        self._scribe = scribe
        self._turns = count(1)
        self._last_turn_at = 0.0

    def schema(self, tool: Tool) -> FunctionSchema:
        """Return a tool for the context."""

        async def told(call_id: str, arguments: str, answer: Answer, duration_ms: float) -> None:
            await self._scribe.push_frame(
                ToolCalledFrame(
                    at=self._call.clock(),
                    call_id=call_id,
                    tool_name=tool.name,
                    arguments=arguments,
                    output=answer.output,
                    outcome=answer.outcome,
                    duration_ms=duration_ms,
                )
            )

        return tool.function_schema(told)

    async def caller_said(self, user: LLMUserAggregator, message: UserTurnMessageAddedMessage) -> None:
        """Take the caller's turn."""
        del user
        now = self._call.clock()
        # Stock services don't say when a turn began; it was after the last one.
        turn = CallerTurnFrame(now, f"caller-{next(self._turns)}", message.content, self._last_turn_at)
        self._last_turn_at = now
        await self._scribe.push_frame(turn)
