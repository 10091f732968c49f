"""Client events, checked as strictly as the real API checks them.

Source: `openai.types.realtime.RealtimeClientEvent`; errors as the API was seen to send them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Literal, cast

import msgspec
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticKnownError

from .configuration import (
    BuiltInVoice,
    Configuration,
    CustomVoice,
    FunctionTool,
    MaxOutputTokens,
    Modalities,
    Prompt,
    Reasoning,
    Shape,
    ToolChoice,
    WireFormat,
)
from .errors import RequestError
from .refusals import refusal

MAX_AUDIO_BYTES = 15 * 1024 * 1024
"""Bytes of audio that one event may carry."""


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise PydanticKnownError("string_type")
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = "Invalid audio: expected base64-encoded audio bytes."
        raise PydanticCustomError("invalid_value", message) from None
    if len(audio) > MAX_AUDIO_BYTES:
        raise PydanticCustomError("invalid_value", "Invalid audio: more than 15 MiB in one event.")
    return audio


AudioBytes = Annotated[bytes, BeforeValidator(_decoded)]
"""Audio that crosses the wire in base64."""

ItemId = Annotated[str, Field(min_length=1, max_length=32)]
ItemStatus = Literal["completed", "incomplete", "in_progress"]


class InputText(Shape):
    """Text of a user or system message."""

    type: Literal["input_text"]
    text: str


class InputAudio(Shape):
    """Audio of a user message, in the session's input format."""

    type: Literal["input_audio"]
    audio: AudioBytes
    transcript: str | None = None


class InputImage(Shape):
    """An image of a user message, which no brain looks at."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Shape):
    """Text of an assistant message. Clients can't bring assistant audio, so text is demanded of it as well."""

    type: Literal["output_text", "output_audio"]
    text: str
    transcript: str | None = None
    audio: str | None = None


class _Item(Shape):
    id: ItemId | None = None
    object: Literal["realtime.item"] | None = None
    status: ItemStatus | None = None


class SystemMessage(_Item):
    """Instructions in mid-conversation."""

    type: Literal["message"]
    role: Literal["system"]
    content: list[InputText]


class UserMessage(_Item):
    """What the caller said or wrote."""

    type: Literal["message"]
    role: Literal["user"]
    content: list[Annotated[InputText | InputAudio | InputImage, Field(discriminator="type")]]


class AssistantMessage(_Item):
    """What the model said before."""

    type: Literal["message"]
    role: Literal["assistant"]
    content: list[OutputText]


class FunctionCallItem(_Item):
    """A tool call, brought by the client as history."""

    type: Literal["function_call"]
    name: str
    arguments: str
    call_id: ItemId | None = None


class FunctionCallOutputItem(_Item):
    """What a tool gave back."""

    type: Literal["function_call_output"]
    call_id: ItemId
    output: str


class ItemReference(Shape):
    """An item of the conversation, named in a response's own input."""

    type: Literal["item_reference"]
    id: str


Message = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]
NewItem = Annotated[Message | FunctionCallItem | FunctionCallOutputItem, Field(discriminator="type")]
InputItem = Annotated[
    Message | FunctionCallItem | FunctionCallOutputItem | ItemReference, Field(discriminator="type")
]


class _Event(Shape):
    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(_Event):
    """Changes the session's configuration."""

    type: Literal["session.update"]
    session: Configuration


class BufferAppend(_Event):
    """Brings audio of the caller."""

    type: Literal["input_audio_buffer.append"]
    audio: AudioBytes


class BufferCommit(_Event):
    """Ends the caller's turn by hand."""

    type: Literal["input_audio_buffer.commit"]


class BufferClear(_Event):
    """Drops the audio that is not committed."""

    type: Literal["input_audio_buffer.clear"]


class ItemCreate(_Event):
    """Adds an item to the conversation."""

    type: Literal["conversation.item.create"]
    item: NewItem
    previous_item_id: str | None = None


class ItemTruncate(_Event):
    """Cuts an answer to what the caller heard of it."""

    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: Annotated[int, Field(ge=0)]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ItemDelete(_Event):
    """Removes an item from the conversation."""

    type: Literal["conversation.item.delete"]
    item_id: str


class ItemRetrieve(_Event):
    """Asks for the server's view of an item."""

    type: Literal["conversation.item.retrieve"]
    item_id: str


class ResponseOutput(Shape):
    """Audio of one response."""

    format: WireFormat | None = None
    voice: BuiltInVoice | CustomVoice | None = None


class ResponseAudio(Shape):
    """Audio of one response."""

    output: ResponseOutput | None = None


class ResponseParameters(Shape):
    """What one response does otherwise than the session says."""

    audio: ResponseAudio | None = None
    conversation: Literal["auto", "none"] | None = None
    input: list[InputItem] | None = None
    instructions: str | None = None
    max_output_tokens: MaxOutputTokens | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    output_modalities: Modalities | None = None
    parallel_tool_calls: bool | None = None
    prompt: Prompt | None = None
    reasoning: Reasoning | None = None
    tool_choice: ToolChoice | None = None
    tools: list[FunctionTool] | None = None


class ResponseCreate(_Event):
    """Asks for an answer."""

    type: Literal["response.create"]
    response: ResponseParameters | None = None


class ResponseCancel(_Event):
    """Stops an answer."""

    type: Literal["response.cancel"]
    response_id: str | None = None


ClientEvent = (
    SessionUpdate
    | BufferAppend
    | BufferCommit
    | BufferClear
    | ItemCreate
    | ItemTruncate
    | ItemDelete
    | ItemRetrieve
    | ResponseCreate
    | ResponseCancel
)

_events: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])

_decoder = msgspec.json.Decoder()


def decoded(message: str | bytes) -> Mapping[str, object]:
    """Return the JSON object of a message.

    Raises:
        RequestError: The message is not a JSON object.
    """
    try:
        event: object = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise RequestError("The message is not valid JSON.", "invalid_json") from None
    if not isinstance(event, dict):
        raise RequestError("Invalid type: expected an object.", "invalid_type")
    return cast("dict[str, object]", event)


def checked(event: Mapping[str, object]) -> ClientEvent:
    """Return the typed event.

    Raises:
        RequestError: The event's type, a field's name or a field's value is none that the API takes.
    """
    try:
        return _events.validate_python(event)
    except ValidationError as invalid:
        raise refusal(event, invalid.errors(include_url=False)) from None
