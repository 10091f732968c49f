"""What a realtime session is set up with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..audio.formats import PCM_24K, PCMU_8K, AudioFormat
from .events import ToolSchema, function_tool

SESSION_FORMATS: dict[AudioFormat, dict[str, Any]] = {
    PCM_24K: {"type": "audio/pcm", "rate": 24_000},
    PCMU_8K: {"type": "audio/pcmu"},
}
"""The audio formats a session may have, and the API's words for them."""


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
    idle_timeout_ms: int | None = Field(default=None, ge=1)


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
    """How the caller is transcribed, beside the model's own hearing.

    Attributes:
        model: The transcription model.
        language: The caller's language, ISO 639-1, when it is known.
        keywords: Names and terms to expect.
    """

    model: str = "gpt-live-transcribe"
    language: str | None = None
    keywords: tuple[str, ...] = ()


class RealtimeSettings(_Settings):
    """A realtime session's settings.

    Attributes:
        model: The model.
        instructions: What the bot is and how it behaves.
        voice: The bot's voice.
        audio_format: The format of both directions: PCM 24 kHz, or PCMU 8 kHz, which needs no resampling.
        turn_detection: How the model finds the caller's turns; None leaves that to the bot's author.
        transcription: How the caller is transcribed; None for no transcripts.
        noise_reduction: Cleans the caller's audio before it is heard; None for none.
        speed: Of the bot's speech, 0.25 to 1.5.
        max_output_tokens: The longest response.
        tool_choice: Whether the model may, must or must not call tools.
        reasoning_effort: For models that reason; None leaves the server's default.
    """

    model: str = "gpt-realtime-2.1"
    instructions: str = ""
    voice: str = "marin"
    audio_format: AudioFormat = PCM_24K
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()
    transcription: Transcription | None = Transcription()
    noise_reduction: Literal["near_field", "far_field"] | None = None
    speed: float = Field(default=1.0, ge=0.25, le=1.5)
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] | Literal["inf"] = "inf"
    tool_choice: Literal["auto", "none", "required"] = "auto"
    reasoning_effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None

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

    def session(self, tools: Sequence[ToolSchema] = ()) -> dict[str, Any]:
        """Return the session object of `session.update`.

        A null there switches something off, so transcription, noise reduction and turn detection are always
        written out.
        """
        wire_format = SESSION_FORMATS[self.audio_format]
        session: dict[str, Any] = {
            "type": "realtime",
            "model": self.model,
            "instructions": self.instructions,
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": wire_format,
                    "noise_reduction": self.noise_reduction and {"type": self.noise_reduction},
                    "transcription": self.transcription
                    and self.transcription.model_dump(exclude_defaults=True)
                    | {"model": self.transcription.model},
                    "turn_detection": self.turn_detection and self.turn_detection.model_dump(exclude_none=True),
                },
                "output": {"format": wire_format, "voice": self.voice, "speed": self.speed},
            },
            "max_output_tokens": self.max_output_tokens,
            "tools": [function_tool(tool) for tool in tools],
            "tool_choice": self.tool_choice,
        }
        if self.reasoning_effort is not None:
            session["reasoning"] = {"effort": self.reasoning_effort}
        return session
