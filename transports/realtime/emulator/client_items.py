"""From the items a client brings to those of the conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...audio.formats import AudioFormat
from .caller_audio import decoded
from .client_events import (
    AssistantMessage,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    SystemMessage,
    UserMessage,
)
from .items import CallerSpeech, Content, FunctionCall, FunctionCallOutput, Image, Item, Message, Text

NewId = Callable[[str], str]
"""Makes an id of a kind, such as ``item``."""

ClientItem = SystemMessage | UserMessage | AssistantMessage | FunctionCallItem | FunctionCallOutputItem


@dataclass(frozen=True, slots=True)
class Hear:
    """An ear has to listen to audio of the caller; `Session.heard` takes what it understood.

    Attributes:
        item_id: The item the audio belongs to.
        content_index: Which of its parts.
        speech: That part.
        pcm: PCM16 mono.
        sample_rate: Its rate in Hz.
        transcribe: Whether the client wants the transcript.
    """

    item_id: str
    content_index: int
    speech: CallerSpeech
    pcm: bytes = field(repr=False)
    sample_rate: int
    transcribe: bool


def conversation_item(brought: ClientItem, new_id: NewId, audio_format: AudioFormat) -> tuple[Item, list[Hear]]:
    """Return the item, and which of its audio has to be heard.

    Args:
        brought: The client's item.
        new_id: Makes the ids that the client left out.
        audio_format: The session's input format, which is that of the item's audio.
    """
    item_id = brought.id or new_id("item")
    match brought:
        case FunctionCallItem():
            call_id = brought.call_id or new_id("call")
            return FunctionCall(item_id, call_id, brought.name, brought.arguments), []
        case FunctionCallOutputItem():
            return FunctionCallOutput(item_id, brought.call_id, brought.output), []
        case UserMessage():
            content, unheard = _user_content(item_id, brought.content, audio_format)
            return Message(item_id, "user", content), unheard
        case AssistantMessage():
            return Message(
                item_id, "assistant", [Text("output_text", part.text) for part in brought.content]
            ), []
        case SystemMessage():
            return Message(item_id, "system", [Text("input_text", part.text) for part in brought.content]), []


def _user_content(
    item_id: str, parts: Sequence[InputText | InputAudio | InputImage], audio_format: AudioFormat
) -> tuple[list[Content], list[Hear]]:
    content: list[Content] = []
    unheard: list[Hear] = []
    for index, part in enumerate(parts):
        match part:
            case InputText():
                content.append(Text("input_text", part.text))
            case InputImage():
                content.append(Image(part.image_url))
            case InputAudio():
                pcm = decoded(part.audio, audio_format)
                duration_ms = len(pcm) / 2 * 1000 / audio_format.sample_rate
                speech = CallerSpeech(duration_ms, part.transcript or "", part.transcript)
                content.append(speech)
                if part.transcript is None:
                    unheard.append(
                        Hear(item_id, index, speech, pcm, audio_format.sample_rate, transcribe=False)
                    )
    return content, unheard
