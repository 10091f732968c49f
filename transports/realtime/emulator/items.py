"""The items a conversation is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .usage import Tokens, audio_tokens, text_tokens

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]

CALLER_TOKEN_MS = 100.0
"""Audio of the caller that one token stands for."""
MODEL_TOKEN_MS = 50.0
"""Audio of the model that one token stands for."""


@dataclass(slots=True)
class Text:
    """Text that the client or the model wrote.

    Attributes:
        kind: ``input_text`` of a client, ``output_text`` of the model.
    """

    kind: Literal["input_text", "output_text"]
    text: str = field(repr=False)

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context."""
        return Tokens(text=text_tokens(self.text))

    @property
    def understood(self) -> str:
        """What a brain reads."""
        return self.text

    def wire(self) -> dict[str, object]:
        """Return the content part as JSON."""
        return {"type": self.kind, "text": self.text}


@dataclass(slots=True)
class Image:
    """An image, which no brain looks at."""

    url: str = field(repr=False)

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context: nothing, as no brain looks at it."""
        return Tokens()

    @property
    def understood(self) -> str:
        """What a brain reads."""
        return ""

    def wire(self) -> dict[str, object]:
        """Return the content part as JSON."""
        return {"type": "input_image", "image_url": self.url}


@dataclass(slots=True)
class CallerSpeech:
    """Audio of the caller.

    Attributes:
        audio_ms: How long it lasts.
        understood: What the ear made of it, empty until it has.
        transcript: What the client is told of it: None while no transcription is configured or done.
    """

    audio_ms: float
    understood: str = field(default="", repr=False)
    transcript: str | None = field(default=None, repr=False)

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context."""
        return Tokens(audio=audio_tokens(self.audio_ms, CALLER_TOKEN_MS))

    def wire(self) -> dict[str, object]:
        """Return the content part as JSON, without the audio itself."""
        return {"type": "input_audio", "transcript": self.transcript}


@dataclass(slots=True)
class ModelSpeech:
    """Audio of the model, as far as it was sent and not truncated.

    Attributes:
        text: The whole text, sent or not.
        whole_ms: How long the whole text lasts when spoken.
        audio_ms: What was sent, or what is left after a truncation.
        transcript: What was sent of the text; None after a truncation, which deletes it.
    """

    text: str = field(repr=False)
    whole_ms: float
    audio_ms: float = 0.0
    transcript: str | None = field(default="", repr=False)

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context."""
        return Tokens(
            text=text_tokens(self.transcript or ""), audio=audio_tokens(self.audio_ms, MODEL_TOKEN_MS)
        )

    @property
    def understood(self) -> str:
        """The text that was spoken in `audio_ms`, taking it to be spoken evenly."""
        share = min(1.0, self.audio_ms / self.whole_ms) if self.whole_ms else 1.0
        return self.text[: round(len(self.text) * share)]

    @property
    def length_ms(self) -> int:
        """Whole milliseconds of audio, as the API counts them."""
        return math.floor(self.audio_ms + 1e-6)

    def wire(self) -> dict[str, object]:
        """Return the content part as JSON, without the audio itself."""
        return {"type": "output_audio", "transcript": self.transcript}


Content: TypeAlias = Text | Image | CallerSpeech | ModelSpeech


@dataclass(slots=True)
class Message:
    """What somebody said or wrote."""

    id: str
    role: Literal["system", "user", "assistant"]
    content: list[Content]
    status: Status = "completed"

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context."""
        return sum((part.tokens for part in self.content), Tokens())

    @property
    def understood(self) -> str:
        """What a brain reads."""
        return " ".join(part.understood for part in self.content if part.understood)

    def wire(self) -> dict[str, object]:
        """Return the item as JSON."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [part.wire() for part in self.content],
        }


@dataclass(slots=True)
class FunctionCall:
    """A tool call of the model."""

    id: str
    call_id: str
    name: str
    arguments: str = field(repr=False)
    status: Status = "completed"

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context."""
        return Tokens(text=text_tokens(self.name) + text_tokens(self.arguments))

    def wire(self) -> dict[str, object]:
        """Return the item as JSON."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "function_call",
            "status": self.status,
            "name": self.name,
            "call_id": self.call_id,
            "arguments": self.arguments,
        }


@dataclass(slots=True)
class FunctionCallOutput:
    """What a tool gave back."""

    id: str
    call_id: str
    output: str = field(repr=False)
    status: Status = "completed"

    @property
    def tokens(self) -> Tokens:
        """What it takes in the context."""
        return Tokens(text=text_tokens(self.output))

    def wire(self) -> dict[str, object]:
        """Return the item as JSON."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "function_call_output",
            "status": self.status,
            "call_id": self.call_id,
            "output": self.output,
        }


Item: TypeAlias = Message | FunctionCall | FunctionCallOutput
