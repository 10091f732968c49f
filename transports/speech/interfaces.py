"""What speaks, hears and decides: the seams between speech engines, brains and the realtime emulator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "Brain",
    "CallTool",
    "Ear",
    "Heard",
    "Say",
    "SpeechDetector",
    "SpeechEdge",
    "ToolOutput",
    "Voice",
]


class Voice(Protocol):
    """Turns text into audio."""

    sample_rate: int
    """Hz of the audio it gives."""

    def speak(self, text: str) -> Iterator[bytes]:
        """Give the text as PCM16 mono chunks at `sample_rate`.

        It computes as it is iterated, so run it in a thread.
        """
        ...


class Ear(Protocol):
    """Turns audio into text."""

    def hear(self, pcm: bytes, sample_rate: int) -> str:
        """Give the transcript of PCM16 mono audio, "" when nothing was said.

        It blocks while it computes, so run it in a thread.
        """
        ...


@dataclass(frozen=True)
class SpeechEdge:
    """Where speech starts or stops within one stream."""

    started: bool
    """True where speech started, False where it stopped."""
    at_ms: float
    """Milliseconds of audio from the stream's first sample to the edge itself.

    The edge lies before the audio that revealed it: a stop is where the last speech ended, and is found
    a detector's silence later.
    """


class SpeechDetector(Protocol):
    """Finds the edges of speech in one stream; every stream has its own."""

    def detect(self, pcm: bytes) -> list[SpeechEdge]:
        """Take the next PCM16 mono audio at 8 kHz, of any length, and give the edges found in it, in order."""
        ...


@dataclass(frozen=True)
class Say:
    """The brain speaks this text."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class CallTool:
    """The brain calls a tool."""

    name: str
    arguments: dict[str, object] = field(repr=False)


@dataclass(frozen=True)
class Heard:
    """A turn of the caller, as the ear understood it."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class ToolOutput:
    """What a tool gave back."""

    name: str
    output: str = field(repr=False)
    """JSON text."""


class Brain(Protocol):
    """Decides what is said and which tools are called in a conversation."""

    voice: Voice
    ear: Ear

    def detector(self) -> SpeechDetector:
        """Make the speech detector of one new stream."""
        ...

    def greet(self, instructions: str) -> list[Say | CallTool]:
        """Answer a response request before which the caller said nothing."""
        ...

    def answer(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, object]],
        history: Sequence[Heard | Say | CallTool | ToolOutput],
    ) -> list[Say | CallTool]:
        """Answer the newest items of the conversation.

        Args:
            instructions: The session's instructions.
            tools: The session's tools: each with "name", "description" and "parameters" (JSON Schema).
            history: The conversation so far, oldest first.
        """
        ...
