"""Stock services that play a script: they hear and speak tones, so that a cascade can be tested without a key.

They are pipecat services in every respect, and stand in for those of a provider.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import count
from typing import Any, cast

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.utils.time import time_now_iso8601

from callpipe.transports.realtime.emulator.brains import Script, ScriptedBrain
from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput
from callpipe.transports.speech.tones import ToneEar, ToneVoice

_LOUD_RMS = 100.0


class ToneVAD(VADAnalyzer):
    """Takes what is loud for speech.

    Args:
        sample_rate: Of the audio it gets, in Hz; the pipeline's when None.
    """

    def __init__(self, *, sample_rate: int | None = None) -> None:
        params = VADParams(confidence=0.5, start_secs=0.06, stop_secs=0.2, min_volume=0.0)
        super().__init__(sample_rate=sample_rate, params=params)

    def num_frames_required(self) -> int:
        """Return the samples of 20 ms."""
        return self.sample_rate // 50

    def voice_confidence(self, buffer: bytes) -> float:
        """Return 1.0 for loud samples, PCM16 mono, 0.0 for others."""
        samples = np.frombuffer(buffer, "<i2").astype(np.float64)
        return float(samples.size > 0 and np.sqrt(np.mean(samples**2)) >= _LOUD_RMS)


class ToneSTT(SegmentedSTTService):
    """Writes down tones.

    Args:
        sample_rate: Of the audio it gets, in Hz; the pipeline's when None.
    """

    def __init__(self, *, sample_rate: int | None = None) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
            sample_rate=sample_rate, ttfs_p99_latency=0.35, settings=STTSettings(model="tones", language=None)
        )

    @property
    def wants_wav_segments(self) -> bool:
        """Plain samples will do."""
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Give the text of a stretch of speech."""
        if text := ToneEar().hear(audio, self.sample_rate):
            yield TranscriptionFrame(text, "caller", time_now_iso8601())


class ToneTTS(TTSService):
    """Speaks tones.

    Args:
        sample_rate: Of what it gives, in Hz.
    """

    def __init__(self, *, sample_rate: int = 24_000) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
            sample_rate=sample_rate,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="tones", voice="tones", language=None),
        )

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Give the audio of a text."""
        for audio in ToneVoice(self.sample_rate).speak(text):
            yield TTSAudioRawFrame(audio, self.sample_rate, 1, context_id=context_id)


class ScriptedLLM(LLMService):
    """Answers by a script; see `callpipe.transports.realtime.emulator.brains.Script`.

    Args:
        script: What it says and calls.
    """

    def __init__(self, script: Script) -> None:
        settings = LLMSettings(
            model="script",
            system_instruction=None,
            temperature=None,
            max_tokens=None,
            top_p=None,
            top_k=None,
            frequency_penalty=None,
            presence_penalty=None,
            seed=None,
            filter_incomplete_user_turns=None,
            user_turn_completion_config=None,
        )
        super().__init__(settings=settings)  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self._brain = ScriptedBrain(script)
        self._calls = count(1)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            await self._answer(frame.context)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())

    async def _answer(self, context: LLMContext) -> None:
        tools = [
            {"name": tool.name, "description": tool.description, "parameters": {"properties": tool.properties}}
            for tool in getattr(context.tools, "standard_tools", ())
        ]
        calls: list[FunctionCallFromLLM] = []
        for action in self._brain.answer("", tools, history_of(cast("Any", context.messages))):
            if isinstance(action, Say):
                await self.push_frame(LLMTextFrame(action.text))
            else:
                call_id = f"call-{next(self._calls)}"
                calls.append(FunctionCallFromLLM(action.name, call_id, action.arguments, context))
        await self.run_function_calls(calls)


def history_of(messages: Sequence[Mapping[str, Any]]) -> list[Heard | Say | CallTool | ToolOutput]:
    """Return a context's conversation as a brain takes it; messages in OpenAI's form."""
    names: dict[str, str] = {}
    history: list[Heard | Say | CallTool | ToolOutput] = []
    for message in messages:
        content = message.get("content") or ""
        match message["role"]:
            case "user":
                history.append(Heard(str(content)))
            case "assistant":
                if content:
                    history.append(Say(str(content)))
                for call in message.get("tool_calls") or ():
                    names[call["id"]] = call["function"]["name"]
                    arguments = json.loads(call["function"]["arguments"])
                    history.append(CallTool(call["function"]["name"], arguments))
            case "tool":
                history.append(ToolOutput(names.get(message["tool_call_id"], ""), str(content)))
            case _:
                pass
    return history
