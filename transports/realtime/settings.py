"""What a realtime session is set up with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..audio.formats import PCM_24K, PCMA_8K, PCMU_8K, AudioFormat
from .client_events import function_tool
from .events import ToolSchema

SESSION_FORMATS: dict[AudioFormat, dict[str, Any]] = {
    PCM_24K: {"type": "audio/pcm", "rate": 24_000},
    PCMU_8K: {"type": "audio/pcmu"},
    PCMA_8K: {"type": "audio/pcma"},
}
"""The audio formats a session may have, and the API's words for them."""

Effort = Literal["minimal", "low", "medium", "high", "xhigh"]


class _Settings(BaseModel):
    """Settings that don't change, and refuse keys they don't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest_key(cls, given: object) -> object:
        if isinstance(given, dict):
            for key in cast("dict[object, object]", given):
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(cls.model_fields)}"
                    raise ValueError(f"there is no setting {key!r}; {hint}")
        return cast("object", given)


class ServerVad(_Settings):
    """Turn detection by silence.

    Attributes:
        threshold: How sure the detector must be, 0 to 1; noisy lines want more.
        prefix_padding_ms: Audio before the detected speech that belongs to the turn.
        silence_duration_ms: Silence that ends a turn.
        create_response: The model answers each turn by itself.
        interrupt_response: The caller's speech stops the bot.
        idle_timeout_ms: Silence after the bot's speech until the model asks whether the caller is there.
    """

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0)
    silence_duration_ms: int = Field(default=500, ge=0)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = Field(default=None, ge=5_000, le=30_000)


class SemanticVad(_Settings):
    """Turn detection by what is said.

    Attributes:
        eagerness: How soon the model takes its turn: at the latest after 8 s, 4 s or 2 s; ``auto`` is medium.
        create_response: The model answers each turn by itself.
        interrupt_response: The caller's speech stops the bot.
    """

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class Transcription(_Settings):
    """How the caller is transcribed, beside the model's own hearing. Models differ in what they take of this.

    Attributes:
        model: The transcription model. ``gpt-transcribe`` works on whole turns, as turn detection finds them;
            ``gpt-live-transcribe`` and ``gpt-realtime-whisper`` are made for streams without turn detection.
        language: The caller's language, ISO 639-1, when it is known.
        languages: The languages the caller may speak, for models that take several.
        keywords: Names and terms to expect, for models that take them.
        prompt: What the call is about, or how to write, for models that take it.
        delay: How long ``gpt-realtime-whisper`` waits for more context.
    """

    model: str = "gpt-transcribe"
    language: str | None = None
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    prompt: str | None = None
    delay: Effort | None = None


class CustomVoice(_Settings):
    """A voice of your own.

    Attributes:
        id: The API's id of it, ``voice_...``.
    """

    id: str


class RetentionRatio(_Settings):
    """How much is kept of a conversation that no longer fits.

    Dropping its oldest part spoils the cache of input tokens: less kept is less often dropped, and cheaper.

    Attributes:
        retention_ratio: The share of the allowed tokens that is kept.
        post_instructions_tokens: The tokens allowed after the instructions and tools; None for what the model
            can take.
    """

    retention_ratio: float = Field(ge=0, le=1)
    post_instructions_tokens: int | None = Field(default=None, ge=0)


class Tracing(_Settings):
    """How the session is found in OpenAI's traces. A trace contains what was said.

    Attributes:
        workflow_name: The trace's name.
        group_id: Traces with one id belong together.
        metadata: To filter by.
    """

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, str] | None = None


class RealtimeSettings(_Settings):
    """A realtime session's settings.

    Attributes:
        model: The model.
        instructions: What the bot is and how it behaves.
        voice: The bot's voice: a built-in one by its name, or your own.
        audio_format: The format of both directions: PCM 24 kHz, or PCMU or PCMA 8 kHz without resampling.
        turn_detection: How the model finds the caller's turns. With None a processor before the model does: its
            `UserStoppedSpeakingFrame` ends a turn, and its `InterruptionFrame` stops the bot.
        transcription: How the caller is transcribed; None for no transcripts.
        noise_reduction: Cleans the caller's audio before it is heard; None for none.
        speed: Of the bot's speech, 0.25 to 1.5.
        max_output_tokens: The longest response.
        tool_choice: Whether the model may, must or must not call tools, or the name of the one it must call.
        parallel_tool_calls: Whether a response may call several tools, for models that reason; None leaves the
            server's default, as with the fields below.
        reasoning_effort: How much the model thinks, for models that reason.
        truncation: What becomes of a conversation that no longer fits; with ``disabled`` it is an error.
        tracing: Whether the session is written to OpenAI's traces, which keep what was said.
        include: What events tell beyond the usual.
    """

    model: str = "gpt-realtime-2.1"
    instructions: str = ""
    voice: str | CustomVoice = "marin"
    audio_format: AudioFormat = PCM_24K
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()
    transcription: Transcription | None = Transcription()
    noise_reduction: Literal["near_field", "far_field"] | None = None
    speed: float = Field(default=1.0, ge=0.25, le=1.5)
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] | Literal["inf"] = "inf"
    tool_choice: str = Field(default="auto", pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = None
    tracing: Literal["auto"] | Tracing | None = None
    include: tuple[Literal["item.input_audio_transcription.logprobs"], ...] = ()

    @field_validator("audio_format")
    @classmethod
    def _known_format(cls, audio_format: AudioFormat) -> AudioFormat:
        if audio_format not in SESSION_FORMATS:
            known = " or ".join(map(str, SESSION_FORMATS))
            raise ValueError(f"the model speaks {known}, not {audio_format}")
        return audio_format

    @property
    def creates_responses(self) -> bool:
        """Whether the model answers the caller's turns by itself."""
        return self.turn_detection is not None and self.turn_detection.create_response

    @property
    def interrupts_responses(self) -> bool:
        """Whether the caller's speech stops the bot."""
        return self.turn_detection is not None and self.turn_detection.interrupt_response

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that the session needs."""
        return (self.model,) if self.transcription is None else (self.model, self.transcription.model)

    def session(self, tools: Sequence[ToolSchema] = ()) -> dict[str, Any]:
        """Return the session object of `session.update`.

        Instructions, tools, audio and what a null switches off are always written out; of the rest, what was
        set.
        """
        session: dict[str, Any] = {
            "type": "realtime",
            "model": self.model,
            "instructions": self.instructions,
            "output_modalities": ["audio"],
            "audio": {"input": self._audio_input(), "output": self._audio_output()},
            "max_output_tokens": self.max_output_tokens,
            "tools": [function_tool(tool) for tool in tools],
            "tool_choice": self._tool_choice(),
        }
        optional = {
            "parallel_tool_calls": self.parallel_tool_calls,
            "reasoning": self.reasoning_effort and {"effort": self.reasoning_effort},
            "truncation": self._truncation(),
            "tracing": _wire(self.tracing) if isinstance(self.tracing, Tracing) else self.tracing,
            "include": list(self.include) or None,
        }
        return session | {name: setting for name, setting in optional.items() if setting is not None}

    def _tool_choice(self) -> str | dict[str, str]:
        if self.tool_choice in ("auto", "none", "required"):
            return self.tool_choice
        return {"type": "function", "name": self.tool_choice}

    def _truncation(self) -> str | dict[str, Any] | None:
        if not isinstance(self.truncation, RetentionRatio):
            return self.truncation
        truncation: dict[str, Any] = {
            "type": "retention_ratio",
            "retention_ratio": self.truncation.retention_ratio,
        }
        if self.truncation.post_instructions_tokens is not None:
            truncation["token_limits"] = {"post_instructions": self.truncation.post_instructions_tokens}
        return truncation

    def _audio_input(self) -> dict[str, Any]:
        return {
            "format": SESSION_FORMATS[self.audio_format],
            "noise_reduction": self.noise_reduction and {"type": self.noise_reduction},
            "transcription": self.transcription and _wire(self.transcription),
            "turn_detection": self.turn_detection and _wire(self.turn_detection),
        }

    def _audio_output(self) -> dict[str, Any]:
        voice = _wire(self.voice) if isinstance(self.voice, CustomVoice) else self.voice
        return {"format": SESSION_FORMATS[self.audio_format], "voice": voice, "speed": self.speed}


def _wire(settings: _Settings) -> dict[str, Any]:
    """Return settings whose names are the API's own, without those that are empty."""
    named = settings.model_dump(mode="json")
    return {name: setting for name, setting in named.items() if setting not in (None, [])}
