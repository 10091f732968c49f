"""The configuration of a session: what a client may set, what holds when it does not, how an update merges.

Source: `openai.types.realtime.RealtimeSessionCreateRequest` and the session guides of the Realtime API.
Unknown fields, and the names of the API's beta, are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from ...audio.formats import PCM_24K, PCMU_8K, AudioFormat, Encoding

PCMA_8K = AudioFormat(Encoding.PCMA, 8_000)

DEFAULT_INSTRUCTIONS = "You are a helpful assistant that talks with a caller."


class Shape(BaseModel):
    """A JSON object of the protocol: no field beyond those named, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Pcm(Shape):
    """Signed 16-bit little-endian samples; 24 kHz is the only rate."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24_000


class Pcmu(Shape):
    """G.711 mu-law at 8 kHz."""

    type: Literal["audio/pcmu"] = "audio/pcmu"


class Pcma(Shape):
    """G.711 A-law at 8 kHz."""

    type: Literal["audio/pcma"] = "audio/pcma"


WireFormat = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


def audio_format(wire: Pcm | Pcmu | Pcma) -> AudioFormat:
    """Return the audio format that a session's format object names."""
    match wire:
        case Pcm():
            return PCM_24K
        case Pcmu():
            return PCMU_8K
        case Pcma():
            return PCMA_8K


class NoiseReduction(Shape):
    """Accepted and echoed; the emulator does not filter."""

    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class Transcription(Shape):
    """Turns transcripts of the caller's turns on; the brain's ear writes them, whatever model is named."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    prompt: str | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None

    @model_serializer(mode="wrap")
    def _told(self, told: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what is not set: stock pipecat 1.14 falls silent over a field that it does not know."""
        fields: dict[str, object] = told(self)
        return {name: value for name, value in fields.items() if value is not None}


class ServerVad(Shape):
    """Turns end after a silence."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Field(ge=5_000, le=30_000)] | None = None


class SemanticVad(Shape):
    """Accepted; turns end after the silence that `silence_duration_ms` gives."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    @property
    def prefix_padding_ms(self) -> int:
        """Audio before the speech that belongs to the turn."""
        return 300

    @property
    def silence_duration_ms(self) -> int:
        """Silence that ends a turn: more than server VAD takes when eager to wait, less when eager to speak."""
        return {"low": 1_500, "high": 300}.get(self.eagerness, 700)

    @property
    def idle_timeout_ms(self) -> None:
        """Semantic VAD has no idle timeout."""
        return


TurnDetectionConfiguration = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class AudioInput(Shape):
    """What the caller's audio is, and what is done with it. Null turn detection means manual turns."""

    format: WireFormat = Pcm()
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetectionConfiguration | None = ServerVad()


BuiltInVoice = Literal[
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"
]  # fmt: skip


class CustomVoice(Shape):
    """A voice by its id."""

    id: str


class AudioOutput(Shape):
    """What the model's audio is. Voice and speed are echoed; the brain's voice speaks."""

    format: WireFormat = Pcm()
    voice: BuiltInVoice | CustomVoice = "alloy"
    speed: Annotated[float, Field(ge=0.25, le=1.5)] = 1.0


class Audio(Shape):
    """Both directions."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


def _single_modality(modalities: list[Literal["text", "audio"]]) -> list[Literal["text", "audio"]]:
    if len(modalities) != 1:
        raise PydanticCustomError(
            "invalid_value",
            "Invalid modalities: {given}. Supported combinations are: ['text'] and ['audio'].",
            {"given": str(modalities)},
        )
    return modalities


Modalities = Annotated[list[Literal["text", "audio"]], AfterValidator(_single_modality)]

MaxOutputTokens = Annotated[int, Field(ge=1, le=4_096)] | Literal["inf"]


class FunctionTool(Shape):
    """A tool of the client."""

    type: Literal["function"]
    name: Annotated[str, Field(max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    parameters: dict[str, object] | None = None


class ChosenFunction(Shape):
    """Forces one function."""

    type: Literal["function"]
    name: str


ToolChoice = Literal["none", "auto", "required"] | ChosenFunction


class Reasoning(Shape):
    """Accepted and echoed."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class Prompt(Shape):
    """A stored prompt; accepted and echoed."""

    id: str
    version: str | None = None
    variables: dict[str, object] | None = None


class Tracing(Shape):
    """Accepted and echoed."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, object] | None = None


class TokenLimits(Shape):
    """Limits of the retention-ratio truncation."""

    post_instructions: Annotated[int, Field(ge=0)] | None = None


class RetentionRatio(Shape):
    """Accepted and echoed; the emulator's context has no bound."""

    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Field(ge=0, le=1)]
    token_limits: TokenLimits | None = None


class Configuration(Shape):
    """A session's whole configuration, or the part of it that an update brings.

    `model_fields_set` tells which fields an update brings.
    """

    type: Literal["realtime"]
    model: str = ""
    output_modalities: Modalities = ["audio"]
    instructions: str = DEFAULT_INSTRUCTIONS
    audio: Audio = Audio()
    tools: list[FunctionTool] = []
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxOutputTokens = "inf"
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    prompt: Prompt | None = None
    tracing: Literal["auto"] | Tracing | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


AnyShape = TypeVar("AnyShape", bound=Shape)


def merged(current: AnyShape, update: AnyShape) -> AnyShape:
    """Return `current` with the fields that `update` brings.

    Objects of one kind merge field by field; lists, scalars and objects of another kind (another audio format,
    another turn detection) replace what was there.
    """
    changes: dict[str, object] = {}
    for name in update.model_fields_set:
        old, new = getattr(current, name), getattr(update, name)
        if isinstance(new, Shape) and type(new) is type(old):
            new = merged(old, new)
        changes[name] = new
    return current.model_copy(update=changes)
